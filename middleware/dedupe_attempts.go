package middleware

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// errStoreDown stands for the error of a store that failed a moment ago and is not asked again yet.
var errStoreDown = errors.New("it failed a moment ago")

// attempt is one try at one event, reused.
type attempt struct {
	reservation [1]Reservation
	settlement  [1]Settlement

	// Guarded by attempts.mu, while watched.
	since      int64 // when the lease began, in nanoseconds since the start
	renewing   bool
	prev, next *attempt
}

// attempts extends the leases of the handlers that run: one timer, which stands still while nothing runs, and one
// call of the store for all that are due.
type attempts struct {
	s     *dedupe
	epoch time.Time
	token atomic.Uint64 // begins at random, so that processes do not meet
	pool  sync.Pool

	mu       sync.Mutex // never held over a call of the store
	renewed  sync.Cond  // a renewal has ended
	running  attempt    // ring of the watched; its element is the oldest's predecessor
	timer    *time.Timer
	armed    bool // the timer runs, or its function does
	interval time.Duration
}

func (l *attempts) init(s *dedupe) {
	l.s, l.epoch, l.interval = s, time.Now(), max(s.lease/3, time.Millisecond)
	l.token.Store(rand.Uint64())
	l.pool.New = func() any { return new(attempt) }
	l.renewed.L = &l.mu
	l.running.prev, l.running.next = &l.running, &l.running
}

// now is the time since the start in nanoseconds, monotonic and never 0.
func (l *attempts) now() int64 { return int64(time.Since(l.epoch)) + 1 }

func (l *attempts) begin(key string) *attempt {
	a := l.pool.Get().(*attempt)
	a.reservation[0] = Reservation{Key: key, Token: l.token.Add(1), Lease: l.s.lease}
	return a
}

// drop gives a back to be reused; nobody holds it any more.
func (l *attempts) drop(a *attempt) {
	*a = attempt{}
	l.pool.Put(a)
}

// watch extends the lease of a from now on.
func (l *attempts) watch(a *attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.since = l.now()
	last := l.running.prev
	a.prev, a.next = last, &l.running
	last.next, l.running.prev = a, a
	if l.armed {
		return
	}
	l.armed = true
	if l.timer == nil {
		l.timer = time.AfterFunc(l.interval, l.renew)
		return
	}
	l.timer.Reset(l.interval)
}

// unwatch ends that, and waits for a renewal that is on its way: one that came after the settlement would reserve the
// key again. The timer is stopped with the last.
func (l *attempts) unwatch(a *attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for a.renewing {
		l.renewed.Wait()
	}
	a.prev.next, a.next.prev = a.next, a.prev
	a.prev, a.next = nil, nil
	if l.running.next == &l.running && l.armed && l.timer.Stop() {
		l.armed = false
	}
}

// renew extends what is due, and comes again while something runs.
func (l *attempts) renew() {
	due := l.takeDue()
	if len(due) > 0 {
		l.extend(due)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.armed = l.running.next != &l.running; l.armed {
		l.timer.Reset(l.interval)
	}
}

// takeDue marks what has held its lease for an interval or nearly so.
func (l *attempts) takeDue() []*attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	var due []*attempt
	before := l.now() - int64(l.interval/2)
	for a := l.running.next; a != &l.running; a = a.next {
		if a.since > before {
			continue // those behind it may have been renewed earlier
		}
		a.renewing = true
		due = append(due, a)
	}
	return due
}

// extend asks for the same reservations again. What somebody else holds by now was lost, and is counted.
func (l *attempts) extend(due []*attempt) {
	rs := make([]Reservation, len(due))
	for i, a := range due {
		rs[i] = a.reservation[0]
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.s.lease)
	defer cancel()
	err := l.s.store.Reserve(ctx, rs)
	l.s.observe(ctx, err)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for i, a := range due {
		a.renewing = false
		if err != nil {
			continue
		}
		a.since = now
		if rs[i].State != DedupeReserved {
			l.s.counts.lost.Add(1)
		}
	}
	l.renewed.Broadcast()
}
