package durable

import (
	"container/heap"
	"slices"
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

// verdict is what becomes of a task after an attempt.
type verdict struct {
	err   error // nil: handled
	verb  Verb
	delay time.Duration // before the next attempt
}

// judge is verdict and tell.
func (r *run) judge(t *task, err error) verdict {
	v := r.verdict(t, err)
	r.tell(t, v)
	return v
}

// verdict reads what err asks for.
func (r *run) verdict(t *task, err error) verdict {
	v := verdict{err: err, verb: VerbOf(err)}
	if v.verb == VerbRetry || v.verb == VerbRelease {
		v.delay = r.delay(t.ctx.attempt, err)
	}
	return v
}

// tell logs the first failure while nothing waits for a retry, and the first delivery that is parked while none is. The
// caller does not hold mu.
func (r *run) tell(t *task, v verdict) {
	r.mu.Lock()
	held := !t.claim.draining
	waiting, parked := r.waiting, r.parked
	r.mu.Unlock()
	switch {
	case !held:
	case v.verb == VerbRetry && waiting == 0:
		r.logger.Warn("durable: handler failed, trying again", "topic", t.d.Topic, "position", string(t.d.Position),
			"attempt", t.ctx.attempt, "delay", v.delay, "error", v.err)
	case v.verb == VerbPark && parked == 0:
		r.logger.Warn("durable: a key is parked until the claim ends", "topic", t.d.Topic,
			"partition", t.d.Claim.Partition(), "position", string(t.d.Position), "error", v.err)
	}
}

// delay is how long a delivery waits after an attempt failed with err. A panic of Backoff is logged, and
// DefaultBackoff takes its place.
func (r *run) delay(attempt int, err error) (d time.Duration) {
	if d, ok := RetryDelay(err); ok {
		return d
	}
	defer func() {
		if v := recover(); v != nil {
			r.logger.Error("durable: ProcessOptions.Backoff panicked, using the default", "panic", v)
			d = DefaultBackoff(attempt, err)
		}
	}()
	return max(r.o.Backoff(attempt, err), 0)
}

// park sets t aside until its claim ends; it keeps its lane. The caller holds mu.
func (r *run) park(t *task) {
	t.state = taskParked
	r.parked++
	t.claim.topic.Parked++
}

// stop ends the run with err, the first time. The caller holds mu.
func (r *run) stop(err error) {
	if r.stopErr == nil {
		r.stopErr = err
	}
	r.stopFetch()
}

// again gives t the context of its next attempt. counted: the last one counts.
func (t *task) again(counted int) {
	ctx := t.first
	ctx.attempt = t.ctx.attempt + counted
	t.ctx = &ctx
}

// postpone schedules the next attempt of t, which keeps its lane. counted: the last one counts. The caller holds mu.
func (r *run) postpone(t *task, delay time.Duration, counted int) {
	t.again(counted)
	t.state = taskWaiting
	r.waiting++
	t.claim.topic.Waiting++
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
	if len(r.retries) > 2*r.waiting { // most are of claims that were given up: they would stay in memory until their time
		r.retries = slices.DeleteFunc(r.retries, func(x retry) bool { return x.t.state != taskWaiting })
		heap.Init(&r.retries)
	}
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
			first.t.claim.topic.Waiting--
			first.t.state = taskQueued
			r.ready.push(first.t)
			r.wake()
		}
	}
	return 0, false
}
