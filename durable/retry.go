package durable

import (
	"math/rand/v2"
	"time"
)

const (
	backoffFirst = 100 * time.Millisecond
	backoffMost  = 30 * time.Second
)

// DefaultBackoff is exponential with full jitter: after attempt n a random delay from 1 ms to 100 ms * 2^(n-1), both
// included, and never more than 30 s.
func DefaultBackoff(attempt int, _ error) time.Duration {
	return time.Millisecond + rand.N(exponential(attempt, backoffFirst, backoffMost)-time.Millisecond+1)
}

// exponential doubles first with every attempt after the first, up to most.
func exponential(attempt int, first, most time.Duration) time.Duration {
	d := first
	for ; attempt > 1 && d < most; attempt-- {
		d *= 2
	}
	return min(d, most)
}
