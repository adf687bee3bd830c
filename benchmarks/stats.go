package main

import (
	"math"
	"slices"
	"time"
)

// median is the middle value, the mean of the two in the middle where there is no single one, and 0 of nothing.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

func medianOf(samples []sample, of func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return median(values)
}

// pairedRatios are the ratios of subject to reference, turn by turn.
func pairedRatios(reference, subject []sample, of func(sample) float64) []float64 {
	ratios := make([]float64, 0, len(subject))
	for i := range min(len(reference), len(subject)) {
		if base := of(reference[i]); base > 0 {
			ratios = append(ratios, of(subject[i])/base)
		}
	}
	return ratios
}

// fewest ratios of which the spread tells something.
const fewest = 8

// medianError is about the standard error of the median of values, by the distance of their quartiles, and 0 where
// there are too few.
func medianError(values []float64) float64 {
	n := len(values)
	if n < fewest {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	deviation := (sorted[3*n/4] - sorted[n/4]) / 1.349 // of a normal distribution
	return 1.2533 * deviation / math.Sqrt(float64(n))
}

// latencies are those of single events, in any order.
type latencies []time.Duration

// percentile is the smallest latency that p percent do not exceed, 0 of none.
func (l latencies) percentile(p float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l))
	rank := int(p / 100 * float64(len(sorted)))
	return sorted[min(rank, len(sorted)-1)]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
