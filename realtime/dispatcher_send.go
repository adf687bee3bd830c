package realtime

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// run is the sender: it takes batches until the dispatcher is closed and the queue is empty.
func (d *Dispatcher) run() {
	defer close(d.done)
	defer d.cancel()
	for {
		closing := d.take()
		switch {
		case len(d.batch) > 0:
			d.send(d.batch)
			clear(d.batch)
			d.rest(d.pacer.spend(time.Now()))
		case closing:
			return
		default:
			<-d.wake
		}
	}
}

// rest waits before the next call, unless a whole batch is there.
func (d *Dispatcher) rest(pause time.Duration) {
	if pause <= 0 || d.full() {
		return
	}
	if d.pause == nil {
		d.pause = time.NewTimer(pause)
	} else {
		d.pause.Reset(pause)
	}
	select {
	case <-d.pause.C:
	case <-d.hurry:
	}
}

// full tells whether a whole batch waits.
func (d *Dispatcher) full() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.queue.count >= d.o.Batch
}

// take fills the batch: with one notification where it is a probe, with none where there are none.
func (d *Dispatcher) take() (closing bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	most := d.o.Batch
	if d.breaker.state == BreakerHalfOpen {
		most = 1
	}
	d.batch = d.queue.popTo(d.batch[:0], most)
	d.stats.InFlight = uint64(len(d.batch))
	if len(d.batch) > 0 {
		d.entered = time.Now()
	}
	return d.closing
}

// send broadcasts a batch, one by one where the backend refuses it as invalid, so that the others are not lost.
func (d *Dispatcher) send(batch []Notification) {
	err := d.notify(batch)
	if len(batch) == 1 || !errors.Is(err, ErrInvalid) {
		d.settle(len(batch), err)
		return
	}
	for i := range batch {
		if d.giveUp(len(batch) - i) {
			return
		}
		d.settle(1, d.notify(batch[i:i+1]))
	}
}

// giveUp drops the rest of a batch where the dispatcher was aborted or the breaker has opened meanwhile.
func (d *Dispatcher) giveUp(rest int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ctx.Err() != nil:
		d.stats.Dropped.Closed += uint64(rest)
	case d.breaker.state == BreakerOpen:
		d.stats.Dropped.Breaker += uint64(rest)
	default:
		return false
	}
	d.stats.InFlight -= uint64(rest)
	return true
}

func (d *Dispatcher) notify(batch []Notification) error {
	ctx, cancel := context.WithTimeout(d.ctx, d.o.Timeout)
	defer cancel()
	err := d.call(ctx, batch)
	d.mu.Lock()
	d.stats.Batches++
	stuck := d.stats.Stuck
	d.stats.Stuck, d.entered = false, time.Now()
	d.mu.Unlock()
	if stuck {
		d.o.Logger.Info("realtime: the backend has returned from Notify", d.name())
	}
	return err
}

// settle counts the outcome of count notifications and moves the breaker.
func (d *Dispatcher) settle(count int, err error) {
	d.mu.Lock()
	d.stats.InFlight -= uint64(count)
	dropped := &d.stats.Dropped
	switch {
	case err == nil:
		d.stats.Sent += uint64(count)
		d.succeeded()
		return
	case errors.Is(err, ErrInvalid):
		dropped.Invalid += uint64(count)
		d.mu.Unlock()
		return
	case d.ctx.Err() != nil:
		dropped.Closed += uint64(count)
		d.mu.Unlock()
		return
	case errors.Is(err, context.DeadlineExceeded):
		dropped.Timeout += uint64(count)
	default:
		dropped.Error += uint64(count)
	}
	d.failed(err)
}

// succeeded is called with the mutex, which it releases.
func (d *Dispatcher) succeeded() {
	closed, outage := d.breaker.succeeded()
	dropped := d.stats.Dropped.Breaker
	d.mu.Unlock()
	if closed {
		d.o.Logger.Info("realtime: notifications are sent again", d.name(),
			slog.Duration("outage", outage), slog.Uint64("dropped_so_far", dropped))
	}
}

// failed is called with the mutex, which it releases. What waits is dropped where the breaker is open.
func (d *Dispatcher) failed(err error) {
	opened := d.breaker.failed()
	failures := d.breaker.failures
	if d.breaker.state == BreakerOpen {
		d.stats.Dropped.Breaker += uint64(d.queue.clear())
	}
	d.mu.Unlock()
	if opened {
		d.o.Logger.Warn("realtime: notifications are dropped until the backend recovers", d.name(),
			slog.Int("failures", failures), slog.Any("error", err))
	}
}

func (d *Dispatcher) name() slog.Attr {
	return slog.String("backend", d.backend.Capabilities().Backend)
}
