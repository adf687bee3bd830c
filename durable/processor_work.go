package durable

// work is one worker: it settles what it has handled and takes the next under one acquisition of the lock.
func (r *run) work() {
	r.mu.Lock()
	r.waking = false
	for {
		t := r.next()
		if t == nil {
			r.mu.Unlock()
			return
		}
		t.state = taskRunning
		r.running++
		t.claim.topic.Running++
		r.wake()
		r.mu.Unlock()
		err := r.attempt(t)
		var v verdict
		if err != nil {
			v = r.judge(t, err)
		}
		r.mu.Lock()
		if back := r.finish(t, v); len(back) > 0 {
			r.mu.Unlock()
			r.release(back)
			r.mu.Lock()
		}
	}
}

// exited settles t, whose handler ends the worker, and makes room for another worker.
func (r *run) exited(t *task) {
	v := r.judge(t, errExited)
	r.mu.Lock()
	r.started--
	back := r.finish(t, v)
	r.wake()
	r.mu.Unlock()
	r.release(back)
}

// next waits for a ready task; nil when workers are to end. The caller holds mu.
func (r *run) next() *task {
	for {
		if t := r.take(); t != nil {
			return t
		}
		if r.quit {
			return nil
		}
		r.rest()
	}
}

// rest waits until the worker is woken. The caller holds mu.
func (r *run) rest() {
	if r.running == 0 && r.acks.events > 0 {
		poke(r.ackKick)
	}
	r.idlers++
	r.idle.Wait()
	r.idlers--
	r.waking = false
}

// wake brings one more worker in where something is ready; that one brings the next. So a burst of short handlers
// does not wake all of them, and a slow handler does not keep the rest waiting. The caller holds mu.
func (r *run) wake() {
	if r.waking || r.ready.head == nil {
		return
	}
	if r.batch != nil && r.batch.gathering { // brings the next one in itself
		r.batch.more.Signal()
		return
	}
	if r.idlers > 0 {
		r.waking = true
		r.idle.Signal()
		return
	}
	if r.started < r.workersMost {
		r.waking = true
		r.started++
		r.workers.Go(r.worker)
	}
}

// finish settles t, whose attempt ended with v. The caller holds mu and releases what is returned after it has unlocked.
func (r *run) finish(t *task, v verdict) []Delivery {
	r.conclude(t, v)
	var back []Delivery
	if t.state == taskFailed {
		back = r.releaseIdle(t.claim)
	}
	r.leaveClaim(t.claim)
	r.endIfDrained()
	return back
}

// conclude gives t the state that v calls for. The caller holds mu.
func (r *run) conclude(t *task, v verdict) {
	r.running--
	c := t.claim
	c.topic.Running--
	switch {
	case v.err == nil:
		c.topic.Succeeded++
	case v.verb == VerbRetry || v.verb == VerbPark:
		c.topic.Failed++
	}
	switch {
	case c.claim.Lost(): // perhaps before its watcher knew; what is queued behind t is the watcher's
		r.forget(t, &c.topic.Lost)
		r.roomChanged()
	case v.err == nil && !t.gap:
		r.settle(t)
		r.pass(t)
	case c.draining:
		t.state = taskFailed
	case v.verb == VerbStop || v.verb == VerbPark:
		r.park(t)
	case v.verb == VerbRelease:
		r.postpone(t, v.delay, 0)
	default:
		r.postpone(t, v.delay, 1)
	}
	if v.verb == VerbStop {
		r.stop(v.err)
	}
}

// leaveClaim has what is finished of a draining claim acknowledged at once, and ends it with its last delivery. The
// caller holds mu.
func (r *run) leaveClaim(c *claimed) {
	if c.draining {
		r.flush = true
		poke(r.ackKick)
		r.endIfEmpty(c)
	}
}

// release gives deliveries back, outside of the lock.
func (r *run) release(ds []Delivery) {
	if len(ds) > 0 {
		r.consumer.Release(ds...)
	}
}
