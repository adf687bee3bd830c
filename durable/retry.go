package durable

import (
	"errors"
	"math/rand/v2"
	"time"
)

const (
	backoffFirst = 100 * time.Millisecond
	backoffMost  = 30 * time.Second
)

// retryAfter is an error with its own delay.
type retryAfter struct {
	err   error
	delay time.Duration
}

func (e *retryAfter) Error() string { return e.err.Error() }
func (e *retryAfter) Unwrap() error { return e.err }

// RetryAfter returns err as a handler's error that asks for the next attempt after d (at once if d is not
// positive) instead of the delay that ProcessOptions.Backoff would give. A nil err stays nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfter{err: err, delay: max(d, 0)}
}

// RetryDelay is the delay that the outermost RetryAfter in err's chain asks for.
func RetryDelay(err error) (time.Duration, bool) {
	var r *retryAfter
	if !errors.As(err, &r) {
		return 0, false
	}
	return r.delay, true
}

// DefaultBackoff is exponential with full jitter: after attempt n a random delay of at most 100 ms * 2^(n-1), and
// never more than 30 s.
func DefaultBackoff(attempt int, _ error) time.Duration {
	return rand.N(exponential(attempt, backoffFirst, backoffMost)) + time.Millisecond
}

// exponential doubles first with every attempt after the first, up to most.
func exponential(attempt int, first, most time.Duration) time.Duration {
	d := first
	for ; attempt > 1 && d < most; attempt-- {
		d *= 2
	}
	return min(d, most)
}
