package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Names of subjects. A ratio is against subjectRaw, or the first subject of a path that has none.
const (
	subjectRaw       = "raw"
	subjectOurs      = "dualstream"
	subjectWatermill = "watermill"
	subjectRawPlain  = "raw, plain" // without TLS, where the others have it
	subjectOursPlain = "dualstream, plain"
)

// A path is a piece of work that several subjects do in turns.
type path struct {
	name     string
	metric   metric
	goal     goal
	subjects []subject     // ratios are against the first, unless noRaw
	noRaw    bool          // nothing raw to compare with
	once     bool          // one turn of each subject and none to warm up, because it takes long
	stretch  int           // makes turns so many times longer; 0: as asked for
	slice    time.Duration // divides longer turns into ones of this length, because many short ones are less at the mercy of the machine; 0: not
}

// A subject is one way to do the work.
type subject struct {
	name string
	// setup prepares what all turns share; it registers what has to end with lab.after.
	setup func(ctx context.Context, l *lab) (turn, error)
}

// A turn does the work for about dur and checks what it did at the server, outside of the measured time.
type turn func(ctx context.Context, dur time.Duration) (sample, error)

// A sample is what one turn measured.
type sample struct {
	events    int64
	before    int64 // events of the same turn that were done before the measured time
	elapsed   time.Duration
	mallocs   uint64
	latencies latencies // of single events, where the path measures them
	rss       footprint // where the path measures it
	share     float64   // of the server's commands that is overhead, where the path measures it
	again     int       // how often the turn was taken again before, because it was not the whole work
}

func (s sample) rate() float64 { return float64(s.events) / s.elapsed.Seconds() }

func (s sample) perEvent() float64 { return float64(s.elapsed) / float64(max(1, s.events)) }

func (s sample) allocs() float64 { return float64(s.mallocs) / float64(max(1, s.events)) }

// measure lets the subjects take turns, reps times each after one short turn to warm up, where not once; every other time the last goes
// first, so that none has an advantage of its place. A subject that fails takes no more turns and has no row; when it
// is the first, nothing has.
func (p path) measure(ctx context.Context, l *lab, dur time.Duration, reps int) (rows []row, err error) {
	defer func() { err = errors.Join(err, l.endPath()) }()
	dur, reps = p.divide(dur, reps)
	turns := make([]turn, len(p.subjects))
	errs := make([]error, len(p.subjects))
	for i, s := range p.subjects {
		p.labelled(ctx, i, func(ctx context.Context) {
			if turns[i], errs[i] = s.setup(ctx, l); errs[i] == nil && !p.once {
				_, errs[i] = turns[i](ctx, dur/10)
			}
		})
	}
	samples := make([][]sample, len(p.subjects))
	for rep := range reps {
		for k := range turns {
			i := k
			if rep%2 == 1 {
				i = len(turns) - 1 - k
			}
			if errs[i] != nil || errs[0] != nil {
				continue
			}
			runtime.GC() // nobody pays for the garbage of the turn before
			var one sample
			p.labelled(ctx, i, func(ctx context.Context) { one, errs[i] = turns[i](ctx, dur) })
			samples[i] = append(samples[i], one)
		}
	}
	for i, s := range p.subjects {
		if errs[i] != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", s.name, errs[i]))
		} else if errs[0] == nil {
			rows = append(rows, p.row(i, samples))
		}
	}
	return rows, err
}

// divide is how long a turn lasts and how many there are of each subject, where reps turns of dur are asked for.
func (p path) divide(dur time.Duration, reps int) (time.Duration, int) {
	if p.once {
		return dur, 1
	}
	dur *= time.Duration(max(1, p.stretch))
	if p.slice <= 0 || dur <= p.slice {
		return dur, reps
	}
	return p.slice, reps * int(dur/p.slice)
}

// row sums up the turns of subject i.
func (p path) row(i int, samples [][]sample) row {
	r := row{Path: p.name, Subject: p.subjects[i].name, Metric: p.metric.String(), Turns: len(samples[i])}
	r.EventsPerS = medianOf(samples[i], sample.rate)
	r.AllocsPerEvent = medianOf(samples[i], sample.allocs)
	r.P50us = medianOf(samples[i], func(s sample) float64 { return micros(s.latencies.percentile(50)) })
	r.P99us = medianOf(samples[i], func(s sample) float64 { return micros(s.latencies.percentile(99)) })
	for _, s := range samples[i] {
		r.Memory = r.Memory.worse(s.rss)
		r.TakenAgain += s.again
	}
	r.Share = medianOf(samples[i], func(s sample) float64 { return s.share })
	if !p.noRaw {
		ratios := pairedRatios(samples[0], samples[i], p.metric.of)
		ratio := median(ratios)
		r.RatioToRaw, r.RatioError = &ratio, medianError(ratios)
	}
	if r.Subject == subjectOurs && p.goal.extraNs > 0 {
		ns := medianOf(samples[i], sample.perEvent) - medianOf(samples[0], sample.perEvent)
		allocs := r.AllocsPerEvent - medianOf(samples[0], sample.allocs)
		r.ExtraNs, r.ExtraAllocs = &ns, &allocs
	}
	if r.Subject == subjectOurs {
		r.TimesWatermill = p.timesWatermill(i, samples)
		r.TLSCost, r.TLSCostRaw = p.tlsCost(i, subjectOursPlain, samples), p.tlsCost(0, subjectRawPlain, samples)
		r.goal = p.goal
		r.Goal, r.Reached = p.goal.judge(r)
		r.disclose()
	}
	return r
}

// timesWatermill is the rate of subject i relative to Watermill's, 0 where that is no subject.
func (p path) timesWatermill(i int, samples [][]sample) float64 {
	for k, s := range p.subjects {
		if strings.HasPrefix(s.name, subjectWatermill) && len(samples[k]) == len(samples[i]) {
			return median(pairedRatios(samples[k], samples[i], sample.rate))
		}
	}
	return 0
}

// tlsCost is the nanoseconds that an event of subject i takes more than one of the subject called plain, which does the
// same without TLS; 0 where that was not measured.
func (p path) tlsCost(i int, plain string, samples [][]sample) float64 {
	without := p.index(plain)
	if without < 0 {
		return 0
	}
	return medianOf(samples[i], sample.perEvent) - medianOf(samples[without], sample.perEvent)
}

func (p path) index(name string) int {
	return slices.IndexFunc(p.subjects, func(s subject) bool { return s.name == name })
}

// A metric is what the ratios of a path compare.
type metric int

const (
	rate metric = iota // events a second; more is better
	p50                // median latency; less is better
	p99                // 99th percentile of latency; less is better
)

func (m metric) String() string { return [...]string{"events/s", "p50", "p99"}[m] }

func (m metric) of(s sample) float64 {
	switch m {
	case p50:
		return float64(s.latencies.percentile(50))
	case p99:
		return float64(s.latencies.percentile(99))
	default:
		return s.rate()
	}
}
