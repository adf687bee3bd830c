package durable

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// gate bounds what is in flight, in events and bytes at once. Waiters are served first come, first served: a small
// request never overtakes a large one. It starts no goroutine.
type gate struct {
	maxEvents, maxBytes int

	mu            sync.Mutex
	closed        bool
	events, bytes int
	waiters       list.List     // of *ticket
	empty         chan struct{} // not nil while someone waits for the gate to be empty; closed when it is
}

// ticket is a request that waits for room.
type ticket struct {
	events, bytes int
	settled       chan error // 1: nil when admitted, ErrClosed when the gate was closed
}

// enter takes room, waiting at most wait for it (not at all if wait is not positive). The error is ErrBackpressure,
// ErrClosed or ctx's; then nothing was taken.
func (g *gate) enter(ctx context.Context, wait time.Duration, events, bytes int) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return ErrClosed
	}
	if g.waiters.Len() == 0 && g.fits(events, bytes) {
		g.events += events
		g.bytes += bytes
		g.mu.Unlock()
		return nil
	}
	if wait <= 0 {
		g.mu.Unlock()
		return ErrBackpressure
	}
	t := &ticket{events: events, bytes: bytes, settled: make(chan error, 1)}
	e := g.waiters.PushBack(t)
	g.mu.Unlock()
	return g.await(ctx, wait, e, t)
}

func (g *gate) await(ctx context.Context, wait time.Duration, e *list.Element, t *ticket) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var err error
	select {
	case err = <-t.settled:
		return err
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = ErrBackpressure
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case settled := <-t.settled: // decided while we gave up: what was decided holds
		return settled
	default:
	}
	g.waiters.Remove(e)
	g.admit() // those behind a large request may fit now
	return err
}

// leave gives room back.
func (g *gate) leave(events, bytes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.events -= events
	g.bytes -= bytes
	g.admit()
	if g.events == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// shut refuses everyone from now on, those who wait included, and returns a channel that is closed once all room
// has been given back.
func (g *gate) shut() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	for e := g.waiters.Front(); e != nil; e = g.waiters.Front() {
		g.waiters.Remove(e).(*ticket).settled <- ErrClosed
	}
	if g.events == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	if g.empty == nil {
		g.empty = make(chan struct{})
	}
	return g.empty
}

// usage tells what is in flight and how many wait.
func (g *gate) usage() (events, bytes, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.events, g.bytes, g.waiters.Len()
}

// admit lets waiters in, in their order, as far as there is room. The caller holds mu.
func (g *gate) admit() {
	for e := g.waiters.Front(); e != nil; e = g.waiters.Front() {
		t := e.Value.(*ticket)
		if !g.fits(t.events, t.bytes) {
			return
		}
		g.waiters.Remove(e)
		g.events += t.events
		g.bytes += t.bytes
		t.settled <- nil
	}
}

func (g *gate) fits(events, bytes int) bool {
	return g.events+events <= g.maxEvents && g.bytes+bytes <= g.maxBytes
}
