package realtime

import "time"

// What a Dispatcher may call its backend without pause: many times at once, and for long 2,000 times a second. More
// calls would cost the publishers and the brokers of a machine more than larger batches do, and whoever listens cannot
// tell half a millisecond.
const (
	paceInterval = 500 * time.Microsecond
	paceBurst    = 64
)

// pacer bounds the calls of a Dispatcher. The zero value lets the first burst pass.
type pacer struct {
	next time.Time // when the next call is due, were there no burst
}

// spend takes one call at now and tells how long the next one is to wait, at most paceInterval: calls that did not wait
// because their batches were whole are no debt.
func (p *pacer) spend(now time.Time) time.Duration {
	if least := now.Add(-paceBurst * paceInterval); p.next.Before(least) {
		p.next = least
	}
	if p.next.After(now) {
		p.next = now
	}
	p.next = p.next.Add(paceInterval)
	return p.next.Sub(now)
}
