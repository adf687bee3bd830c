package durable

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

const (
	handlerGrace = 5 * time.Second  // for handlers to return after their contexts ended
	leaveTimeout = 10 * time.Second // for the last acknowledgements, and again for leaving the group
)

// errDrainTimeout is the cause that handlers find in their contexts.
var errDrainTimeout = errors.New("durable: the time to drain is over")

// shutdown ends the run in order: release, finish, acknowledge, leave. It joins every goroutine but those of handlers
// that ignore their contexts, and of a consumer that does.
func (r *run) shutdown() error {
	r.stopFetch()
	r.releaseAll()
	stuck := r.awaitHandlers()
	close(r.ackEnd)
	giveUp := time.AfterFunc(leaveTimeout, func() { r.stopAck(context.DeadlineExceeded) })
	defer giveUp.Stop()
	close(r.ended)
	hung := r.awaitLoops()
	r.stopAck(nil)
	r.mu.Lock()
	r.quit = true
	r.idle.Broadcast()
	r.mu.Unlock()
	if stuck == nil {
		r.workers.Wait()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.values), leaveTimeout)
	defer cancel()
	err := r.consumer.Close(ctx)
	if err != nil {
		err = fmt.Errorf("leave: %w", err)
	}
	return errors.Join(stuck, hung, err)
}

// awaitLoops waits for the last acknowledgements, whose error it returns. A consumer that goes on after the end of
// its context is left behind, to be closed under it.
func (r *run) awaitLoops() error {
	joined := make(chan struct{})
	go func() {
		r.loops.Wait()
		close(joined)
	}()
	timer := time.NewTimer(leaveTimeout + handlerGrace)
	defer timer.Stop()
	select {
	case <-joined:
		return r.ackErr
	case <-timer.C:
		return fmt.Errorf("the consumer ignores the end of its context: acknowledging or releasing still runs after %s",
			leaveTimeout+handlerGrace)
	}
}

// releaseAll gives back everything that was not started.
func (r *run) releaseAll() {
	if r.giving != nil {
		r.giving.end()
	}
	r.mu.Lock()
	r.stopping = true
	if r.batch != nil {
		r.batch.more.Signal()
	}
	var back []Delivery
	for _, c := range r.claims {
		c.draining = true
		back = append(back, r.releaseIdle(c)...)
	}
	r.endIfDrained()
	r.mu.Unlock()
	r.release(back)
}

// endIfDrained tells shutdown that nothing runs any more, nor is to. The caller holds mu.
func (r *run) endIfDrained() {
	if r.stopping && len(r.claims) == 0 && !r.noDrainers {
		r.noDrainers = true
		close(r.drained)
	}
}

// awaitHandlers waits for running handlers until DrainTimeout, ends their contexts, and waits a little more.
func (r *run) awaitHandlers() error {
	timer := time.NewTimer(r.fillFor())
	defer timer.Stop()
	select {
	case <-r.drained:
		return nil
	case <-timer.C:
	}
	for _, c := range r.allClaims() {
		r.hurry(c)
	}
	timer.Reset(r.o.DrainTimeout - r.fillFor())
	select {
	case <-r.drained:
		return nil
	case <-timer.C:
	}
	r.logger.Warn("durable: handlers still run at the end of DrainTimeout, ending their contexts")
	for _, c := range r.allClaims() {
		c.cancel(errDrainTimeout)
	}
	timer.Reset(handlerGrace)
	select {
	case <-r.drained:
		return nil
	case <-timer.C:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Errorf("%d handlers still run %s after their contexts ended", r.running, handlerGrace)
}

func (r *run) allClaims() []*claimed {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.claims))
}
