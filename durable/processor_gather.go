package durable

import (
	"sync"
	"time"
)

// batching is what a run has for ProcessBatch. Guarded by run.mu.
type batching struct {
	handler BatchHandler
	size    int
	wait    time.Duration

	gathering bool      // a worker makes a batch; the others wait
	due       bool      // it has waited long enough
	more      sync.Cond // something for it
	lanes     []*lane   // of what it has
	grown     bool      // one of them has something again
}

// workBatches is one worker of ProcessBatch.
func (r *run) workBatches() {
	r.mu.Lock()
	r.waking = false
	for {
		ts := r.gather()
		if ts == nil {
			r.mu.Unlock()
			return
		}
		r.running += len(ts)
		for _, t := range ts {
			t.state = taskRunning
			t.claim.topic.Running++
			if t.lane != nil {
				t.lane.inBatch++
			}
		}
		r.wake()
		r.mu.Unlock()
		vs := r.attemptBatch(ts)
		r.mu.Lock()
		if back := r.finishBatch(ts, vs); len(back) > 0 {
			r.mu.Unlock()
			r.release(back)
			r.mu.Lock()
		}
	}
}

// gather waits for a batch; nil when workers are to end. The caller holds mu.
func (r *run) gather() []*task {
	b := r.batch
	for {
		var first *task
		if !b.gathering {
			first = r.take()
		}
		if first == nil {
			if r.quit {
				return nil
			}
			r.rest()
			continue
		}
		b.gathering = true
		ts := r.fill(first)
		b.gathering = false
		r.wake()
		if len(ts) > 0 {
			return ts
		}
	}
}

// fill makes a batch that begins with first, waiting for more as long as it may, and returns what may be handled of it:
// nothing where all of it was given back meanwhile. The caller holds mu.
func (r *run) fill(first *task) []*task {
	b := r.batch
	ts := r.withLane(make([]*task, 0, b.size), first)
	b.due = false
	var timer *time.Timer
	for len(ts) < b.size && !b.due && !r.stopping {
		if t := r.take(); t != nil {
			ts = r.withLane(ts, t)
			continue
		}
		if b.grown {
			ts = r.regrown(ts)
			continue
		}
		if timer == nil {
			r.loops.Add(1) // for batchDue; not while stopping, when loops are waited for
			timer = time.AfterFunc(b.wait, r.batchDue)
		}
		b.more.Wait()
	}
	if timer != nil && timer.Stop() {
		r.loops.Done()
	}
	for _, l := range b.lanes {
		l.gathered = false
	}
	b.lanes, b.grown = b.lanes[:0], false
	held := ts[:0]
	for _, t := range ts {
		if t.state == taskQueued && !t.claim.claim.Lost() {
			held = append(held, t)
		}
	}
	return held
}

// withLane adds t and what is queued behind it to ts, as far as there is room. The caller holds mu.
func (r *run) withLane(ts []*task, t *task) []*task {
	ts = append(ts, t)
	if t.lane == nil {
		return ts
	}
	t.lane.gathered = true
	r.batch.lanes = append(r.batch.lanes, t.lane)
	return r.fromLane(ts, t.lane)
}

func (r *run) fromLane(ts []*task, l *lane) []*task {
	for len(ts) < r.batch.size {
		next := l.queue.pop()
		if next == nil {
			break
		}
		ts = append(ts, next)
	}
	return ts
}

// regrown adds to ts what has come for its keys. The caller holds mu.
func (r *run) regrown(ts []*task) []*task {
	r.batch.grown = false
	for _, l := range r.batch.lanes {
		ts = r.fromLane(ts, l)
	}
	return ts
}

// batchDue ends the waiting of the batch that is made. A late one, of a batch before, only makes a batch smaller.
func (r *run) batchDue() {
	defer r.loops.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batch.due = true
	r.batch.more.Signal()
}

// finishBatch settles ts, whose attempt ended with vs, and returns what is to be given back after mu, which the caller
// holds, is unlocked.
func (r *run) finishBatch(ts []*task, vs []verdict) []Delivery {
	var broken []*lane
	var leaving []*claimed // draining, with something that was not handled
	for i, t := range ts {
		l, c := t.lane, t.claim
		if l != nil && l.broken && !c.claim.Lost() {
			r.putBack(t, vs[i])
		} else {
			r.conclude(t, vs[i])
		}
		if t.state == taskFailed {
			leaving = append(leaving, c)
		}
		if l == nil || l.broken {
			continue
		}
		if t.lane != nil && t.state != taskReleased { // it keeps its lane: it was not handled
			l.broken = true
			broken = append(broken, l)
		}
	}
	for _, l := range broken {
		l.mend()
	}
	var back []Delivery
	for i, c := range leaving {
		if i == 0 || c != leaving[i-1] {
			back = append(back, r.releaseIdle(c)...)
		}
	}
	r.afterwards(ts)
	return back
}

// putBack queues t, whose attempt ended with v, again behind one of its lane that failed before it in the batch. The
// caller holds mu.
func (r *run) putBack(t *task, v verdict) {
	r.running--
	t.claim.topic.Running--
	counted := 1
	if v.verb == VerbRelease {
		counted = 0
	}
	t.again(counted)
	t.state = taskQueued
	t.lane.back.push(t)
}

// afterwards does what the end of handlers calls for in their claims. The caller holds mu.
func (r *run) afterwards(ts []*task) {
	var last *claimed
	for _, t := range ts {
		if c := t.claim; c != last {
			last = c
			r.leaveClaim(c)
		}
	}
	r.endIfDrained()
}
