package durable

import (
	"context"
	"fmt"
	"time"
)

const (
	faultFirst = 100 * time.Millisecond
	faultMost  = 5 * time.Second
)

// fetchLoop fetches until fetching ends, which is no error of its own, or until the consumer does.
func (r *run) fetchLoop() error {
	r.look = time.NewTimer(r.lookEvery())
	defer r.look.Stop()
	faults, average := 0, 0
	for {
		n, err := r.awaitRoom(average)
		if err != nil {
			return nil
		}
		ds, err := r.consumer.Fetch(r.fetching, n)
		if len(ds) > 0 {
			average = r.enqueue(ds)
		}
		if err == nil {
			if faults > 0 {
				r.logger.Info("durable: fetching again", "failures", faults)
			}
			faults = 0
			continue
		}
		if r.fetching.Err() != nil {
			return nil
		}
		if terminal(err) {
			return fmt.Errorf("fetch: %w", err)
		}
		faults++
		if faults == 1 {
			r.logger.Warn("durable: fetch failed, trying again", "error", err)
		}
		if pause(r.fetching, exponential(faults, faultFirst, faultMost)) != nil {
			return nil
		}
	}
}

// awaitRoom waits until something may be fetched and tells how much; average is the expected size of a message.
func (r *run) awaitRoom(average int) (int, error) {
	for {
		r.balancePauses()
		r.mu.Lock()
		events, bytes := r.window()
		n := min(r.o.FetchSize, events-r.held)
		if left := bytes - r.heldBytes; left <= 0 {
			n = 0
		} else if average > 0 {
			n = min(n, left/average+1)
		}
		r.wantRoom = n <= 0
		began, over := r.observeStall()
		r.mu.Unlock()
		r.tellStall(began, over)
		if n > 0 {
			return n, r.fetching.Err()
		}
		r.look.Reset(r.lookEvery())
		select {
		case <-r.room:
		case <-r.look.C:
		case <-r.fetching.Done():
			return 0, r.fetching.Err()
		}
	}
}

// roomChanged wakes the fetcher if it waits. The caller holds mu.
func (r *run) roomChanged() {
	if r.wantRoom {
		poke(r.room)
	}
}

// enqueue takes a fetched batch in and returns the average size of its messages.
func (r *run) enqueue(ds []Delivery) int {
	tasks, total := r.tasks(ds)
	now := time.Now()
	r.mu.Lock()
	var c *claimed
	var late []*claimed // claims that are draining already
	for i := range ds {
		if c == nil || c.claim != ds[i].Claim {
			c = r.claimOf(ds[i].Claim)
			if c.draining {
				late = append(late, c)
			}
		}
		t := tasks[i]
		t.claim, t.since = c, now
		t.first = deliveryContext{Context: c.ctx, run: r, delivery: t.d, attempt: max(1, ds[i].Attempt)}
		t.ctx = &t.first
		c.push(t)
		c.topic.arrived(t.size, ds[i].Attempt)
		if !c.draining {
			r.arrive(t)
		}
	}
	r.held += len(ds)
	r.heldBytes += total
	var back []Delivery
	for _, c := range late {
		back = append(back, r.releaseIdle(c)...)
	}
	r.wake()
	r.mu.Unlock()
	r.release(back)
	return total / len(ds)
}

// tasks makes the tasks of a fetched batch and adds up their sizes. Under AckEach each has a memory of its own, so
// that one that stays long, such as one that is retried, does not keep its whole batch in memory, beyond
// MaxInFlightBytes. Under AckThrough what comes after it counts as held anyway, and the batch shares one allocation.
func (r *run) tasks(ds []Delivery) (ts []*task, total int) {
	ts = make([]*task, len(ds))
	var shared []task
	if r.throughMode {
		shared = make([]task, len(ds))
	}
	for i := range ds {
		if r.throughMode {
			ts[i] = &shared[i]
			ts[i].d = &ds[i]
		} else {
			ts[i] = newTask(ds[i])
		}
		if ts[i].size = ds[i].Size; ts[i].size == 0 && ds[i].Message != nil {
			ts[i].size = Size(ds[i].Message)
		}
		total += ts[i].size
	}
	return ts, total
}

// newTask is a task that shares no memory with others.
func newTask(d Delivery) *task {
	own := &struct {
		t task
		d Delivery
	}{d: d}
	own.t.d = &own.d
	return &own.t
}

// pause waits for d or the end of ctx, whose error it returns.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
