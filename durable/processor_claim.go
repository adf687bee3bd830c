package durable

import (
	"context"
	"time"
)

// claimOf is the engine's side of claim; a new one gets its watcher. The caller holds mu.
func (r *run) claimOf(claim *Claim) *claimed {
	if c := r.claims[claim]; c != nil {
		return c
	}
	c := &claimed{claim: claim, lanes: make(map[string]*lane), topic: r.topic(claim.Topic()), draining: r.stopping || isClosed(claim.Draining()), empty: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancelCause(claim.Context())
	r.claims[claim] = c
	r.loops.Go(func() { r.watch(c) })
	return c
}

// isClosed tells whether c is closed; nothing is ever sent on it.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// watch follows one claim to its end, or to that of the run.
func (r *run) watch(c *claimed) {
	defer c.cancel(nil)
	select {
	case <-c.claim.Draining():
	case <-r.ended:
		return
	}
	r.drain(c)
	filled := time.NewTimer(r.fillFor())
	defer filled.Stop()
	for {
		select {
		case <-filled.C:
			r.hurry(c)
			continue
		case <-c.claim.Context().Done():
			r.lose(c)
		case <-c.empty:
		case <-r.ended:
			return
		}
		r.balancePauses()
		return
	}
}

// drain gives back what is not to be handled under c any more.
func (r *run) drain(c *claimed) {
	r.mu.Lock()
	c.draining = true
	r.giveBack(c)
}

// lose forgets what c holds, except what runs: that is forgotten when it returns.
func (r *run) lose(c *claimed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for t := c.head; t != nil; {
		after := t.after
		if t.state != taskRunning {
			r.forget(t, &c.topic.Lost)
		}
		t = after
	}
	r.endIfEmpty(c)
	r.endIfDrained()
	r.roomChanged()
}

// endIfEmpty ends a draining claim of which nothing is held. The caller holds mu.
func (r *run) endIfEmpty(c *claimed) {
	if !c.draining || c.head != nil || c.ended {
		return
	}
	c.ended = true
	delete(r.claims, c.claim)
	close(c.empty)
}
