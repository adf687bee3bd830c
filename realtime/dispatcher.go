package realtime

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// closeGrace is how long Close waits for a Notify that it has cancelled.
const closeGrace = 250 * time.Millisecond

// Dispatcher broadcasts notifications in the background, so that who announces an event never waits for the
// real-time bus and never fails because of it. It is best effort: what does not fit the queue, or meets a backend
// that fails, is dropped and counted, never retried.
//
// One goroutine calls the backend; batches form while it is busy, so that a notification that finds it idle is not
// delayed: only from 2,000 calls a second on, for longer than a moment, does a call wait for more, up to half a
// millisecond. Notifications of a channel are sent in the order in which they were dispatched. After FailuresToOpen
// failures in a row a circuit breaker drops what waits and what comes, and tries again with a single notification
// after a backoff. All methods are safe for concurrent use.
type Dispatcher struct {
	backend Backend
	o       DispatcherOptions
	wake    chan struct{} // one pending wake-up of the sender
	done    chan struct{} // closed when the sender has ended
	ctx     context.Context
	cancel  context.CancelFunc
	hurry   chan struct{}  // closed when Close begins
	batch   []Notification // the sender's
	pacer   pacer          // the sender's
	pause   *time.Timer    // the sender's

	mu      sync.Mutex
	queue   queue
	breaker breaker
	stats   DispatcherStats // all but what queue and breaker know
	entered time.Time       // when the backend's Notify was called
	closing bool
}

// NewDispatcher returns a running dispatcher, to be closed after use. It does not own b: close b after the
// dispatcher. The error is an *InvalidError that names the option.
func NewDispatcher(b Backend, o DispatcherOptions) (*Dispatcher, error) {
	if b == nil {
		return nil, fmt.Errorf("realtime: new dispatcher: %w", invalid("backend", "nil", "use an open backend"))
	}
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("realtime: new dispatcher: %w", err)
	}
	d := &Dispatcher{
		backend: b,
		o:       o,
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		hurry:   make(chan struct{}),
		queue:   newQueue(o.Queue, o.Coalesce),
		breaker: breaker{limit: o.FailuresToOpen, min: o.BackoffMin, max: o.BackoffMax},
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	go d.run()
	return d, nil
}

// Dispatch queues ns and returns how many of them were accepted. It never blocks and does not keep ns. What is
// invalid, comes while the circuit breaker is open or comes after Close is dropped and counted; where the queue is
// full, the oldest makes room.
func (d *Dispatcher) Dispatch(ns ...Notification) int {
	accepted := 0
	for len(ns) > 0 {
		valid := 0
		for valid < len(ns) && ns[valid].Validate() == nil {
			valid++
		}
		wrong := min(1, len(ns)-valid)
		accepted += d.enqueue(ns[:valid], wrong)
		ns = ns[valid+wrong:]
	}
	return accepted
}

// enqueue adds valid notifications and counts the wrong ones that were found after them.
func (d *Dispatcher) enqueue(ns []Notification, wrong int) int {
	d.mu.Lock()
	if d.noticeStuck() {
		defer d.o.Logger.Warn("realtime: the backend does not return from Notify, notifications wait and the oldest are dropped",
			d.name(), slog.Duration("timeout", d.o.Timeout))
	}
	defer d.mu.Unlock()
	count := uint64(len(ns))
	d.stats.Dispatched += count + uint64(wrong)
	d.stats.Dropped.Invalid += uint64(wrong)
	switch {
	case count == 0:
		return 0
	case d.closing:
		d.stats.Dropped.Closed += count
		return 0
	case d.breaker.refuses():
		d.stats.Dropped.Breaker += count
		return 0
	}
	for i := range ns {
		overflow, coalesced := d.queue.push(&ns[i])
		if overflow {
			d.stats.Dropped.Overflow++
		}
		if coalesced {
			d.stats.Dropped.Coalesced++
		}
	}
	d.wakeSender()
	return len(ns)
}

// noticeStuck tells, once, that the backend ignores the end of its context. The caller holds mu.
func (d *Dispatcher) noticeStuck() bool {
	if d.stats.InFlight == 0 || d.stats.Stuck || time.Since(d.entered) < d.o.Timeout+closeGrace {
		return false
	}
	d.stats.Stuck = true
	return true
}

func (d *Dispatcher) wakeSender() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Stats returns the counters as of now.
func (d *Dispatcher) Stats() DispatcherStats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.Queued = uint64(d.queue.count)
	s.Breaker, s.Opened = d.breaker.state, d.breaker.opened
	return s
}

// Close sends what is queued until ctx is done, then cancels the call of the backend and drops the rest, counted
// as closed. The error tells how many were lost that way, or that the backend ignores its context; the sender then
// ends when Notify returns. Close is idempotent, does not close the backend and lasts no longer than ctx and a
// quarter of a second.
func (d *Dispatcher) Close(ctx context.Context) error {
	d.mu.Lock()
	if !d.closing {
		d.closing = true
		close(d.hurry)
	}
	d.wakeSender()
	d.mu.Unlock()
	select {
	case <-d.done:
		return nil
	default:
	}
	select {
	case <-d.done:
		return nil
	case <-ctx.Done():
	}
	lost := d.abort()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-d.done:
		return fmt.Errorf("realtime: close dispatcher: %d notifications not sent: %w", lost, ctx.Err())
	case <-grace.C:
		return fmt.Errorf("realtime: close dispatcher: %d notifications not sent, and backend %q ignores the context of Notify: %w",
			lost, d.backend.Capabilities().Backend, ctx.Err())
	}
}

// abort cancels the call of the backend, drops the queue and returns how many were not known to be sent.
func (d *Dispatcher) abort() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	dropped := uint64(d.queue.clear())
	d.stats.Dropped.Closed += dropped
	d.cancel()
	return dropped + d.stats.InFlight
}
