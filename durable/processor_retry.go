package durable

import (
	"container/heap"
	"time"
)

// retry is a task that waits for its time.
type retry struct {
	at time.Time
	t  *task
}

// retryHeap has the earliest retry in front.
type retryHeap []retry

func (h retryHeap) Len() int           { return len(h) }
func (h retryHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h retryHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *retryHeap) Push(x any) { *h = append(*h, x.(retry)) }

// Pop implements heap.Interface.
func (h *retryHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = retry{}
	*h = (*h)[:last]
	return x
}

// delay is how long t waits after err. The first failure while nothing waits for a retry is logged. The caller does not
// hold mu.
func (r *run) delay(t *task, err error) time.Duration {
	d, ok := RetryDelay(err)
	if !ok {
		d = max(r.o.Backoff(t.ctx.attempt, err), 0)
	}
	r.mu.Lock()
	first := r.waiting == 0 && !t.claim.draining
	r.mu.Unlock()
	if first {
		r.logger.Warn("durable: handler failed, trying again", "topic", t.d.Topic, "position", string(t.d.Position),
			"attempt", t.ctx.attempt, "delay", d, "error", err)
	}
	return d
}

// postpone schedules the next attempt of t, which keeps its lane. The caller holds mu.
func (r *run) postpone(t *task, delay time.Duration) {
	ctx := t.first
	ctx.attempt = t.ctx.attempt + 1
	t.ctx = &ctx
	t.state = taskWaiting
	r.waiting++
	at := time.Now().Add(delay)
	heap.Push(&r.retries, retry{at: at, t: t})
	if r.retries[0].t == t {
		poke(r.retryAt)
	}
}

// retryLoop makes tasks ready when their time has come: one goroutine and one timer for all of them.
func (r *run) retryLoop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if d, ok := r.dueRetries(); ok {
			timer.Reset(d)
		} else {
			timer.Stop()
		}
		select {
		case <-timer.C:
		case <-r.retryAt:
		case <-r.ended:
			return
		}
	}
}

// dueRetries makes ready what is due and tells how long the next one has to wait, if there is one.
func (r *run) dueRetries() (time.Duration, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for len(r.retries) > 0 {
		first := r.retries[0]
		waits := first.t.state == taskWaiting
		if d := first.at.Sub(now); waits && d > 0 {
			return d, true
		}
		heap.Pop(&r.retries)
		if waits {
			r.waiting--
			first.t.state = taskQueued
			r.ready.push(first.t)
			r.wake()
		}
	}
	return 0, false
}
