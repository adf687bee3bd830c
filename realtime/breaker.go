package realtime

import "time"

// BreakerState is the state of a Dispatcher's circuit breaker.
type BreakerState int

// The states of a breaker.
const (
	// BreakerClosed: notifications are sent.
	BreakerClosed BreakerState = iota
	// BreakerOpen: the backend failed; notifications are dropped until the backoff is over.
	BreakerOpen
	// BreakerHalfOpen: the backoff is over; the next notification is sent alone and decides.
	BreakerHalfOpen
)

// String is the state in lower case.
func (s BreakerState) String() string {
	switch s {
	case BreakerOpen:
		return "open"
	case BreakerHalfOpen:
		return "half-open"
	default:
		return "closed"
	}
}

// breaker is a circuit breaker without a timer of its own. It is not safe for concurrent use.
type breaker struct {
	limit    int           // failures in a row that open it
	min, max time.Duration // bounds of the backoff

	state    BreakerState
	failures int // in a row
	backoff  time.Duration
	retryAt  time.Time
	since    time.Time // when it opened
	opened   uint64    // times that it opened, failed probes aside
}

// refuses tells whether what comes now is to be dropped. The first call after the backoff makes it half-open.
func (b *breaker) refuses() bool {
	if b.state != BreakerOpen {
		return false
	}
	if time.Now().Before(b.retryAt) {
		return true
	}
	b.state = BreakerHalfOpen
	return false
}

// failed counts a failure and tells whether the breaker opened because of it, a failed probe aside.
func (b *breaker) failed() (opened bool) {
	b.failures++
	now := time.Now()
	switch {
	case b.state == BreakerHalfOpen:
		b.backoff = min(2*b.backoff, b.max)
	case b.failures >= b.limit:
		b.backoff, b.since, opened = b.min, now, true
		b.opened++
	default:
		return false
	}
	b.state, b.retryAt = BreakerOpen, now.Add(b.backoff)
	return opened
}

// succeeded forgets the failures and tells whether the breaker closed because of it, and how long it was open.
func (b *breaker) succeeded() (closed bool, outage time.Duration) {
	b.failures = 0
	if b.state == BreakerClosed {
		return false, 0
	}
	b.state = BreakerClosed
	return true, time.Since(b.since)
}
