package durable

import "time"

// fillMost is how long a draining claim starts what lies before something that was started, at most.
const fillMost = 5 * time.Second

// fillFor is that time in this run: handlers that it starts last have as long again.
func (r *run) fillFor() time.Duration { return min(fillMost, r.o.DrainTimeout/2) }

// releaseIdle takes out of the window of a draining claim what is not to be handled here any more, and returns it in
// fetch order: everything that does not run, under AckEach.
//
// Under AckThrough what was handled can be acknowledged only when all before it was. So what lies before something that
// was started is kept, to be handled first, until the claim is hurried. Where that cannot be, because something failed,
// waits for its retry or is parked, everything behind that is given back, and what was handled of it is handled again.
//
// The caller holds mu and hands the result to Consumer.Release after it has unlocked.
func (r *run) releaseIdle(c *claimed) []Delivery {
	var out []Delivery
	last := r.lastStarted(c)
	keep, gap := last != nil, false
	for t := c.head; t != nil; {
		after := t.after
		switch {
		case t.state == taskRunning:
			t.gap = t.gap || gap && r.throughMode
		case t.state == taskDone && !gap:
		case t.state == taskQueued && keep:
		default:
			gap = true
			out = append(out, *t.d)
			r.forget(t, &c.topic.Released)
		}
		keep = keep && t != last
		t = after
	}
	r.endIfEmpty(c)
	r.endIfDrained()
	r.roomChanged()
	return out
}

// lastStarted is the last delivery in the window of c that was started and can be acknowledged once all before it is
// handled; nil where that does not matter. The caller holds mu.
func (r *run) lastStarted(c *claimed) (last *task) {
	if !r.throughMode || c.hurried {
		return nil
	}
	for t := c.head; t != nil && !t.gap; t = t.after {
		switch t.state {
		case taskRunning, taskDone:
			last = t
		case taskWaiting, taskParked, taskFailed:
			return last
		}
	}
	return last
}

// giveBack releases what releaseIdle returns and has the finished acknowledged at once. The caller holds mu, which it
// unlocks.
func (r *run) giveBack(c *claimed) {
	back := r.releaseIdle(c)
	r.flush = true
	poke(r.ackKick)
	r.mu.Unlock()
	r.release(back)
}

// hurry has a draining claim start nothing more.
func (r *run) hurry(c *claimed) {
	r.mu.Lock()
	c.hurried = true
	r.giveBack(c)
}
