package middleware

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// errPaused: so many events in a row were poisoned that the handler is taken for broken.
var errPaused = errors.New("paused: too many events in a row were poisoned")

// gate counts poisonings in a row and, from after of them on, lets one event through every so often.
type gate struct {
	after int64 // 0: never paused
	every time.Duration

	row  atomic.Int64
	next atomic.Int64 // Unix nanoseconds of the next probe
}

func (g *gate) paused() bool { return g.after > 0 && g.row.Load() >= g.after }

// enter lets the event through, or returns the error with which it comes again. Outside of durable.Process it waits
// for its turn.
func (g *gate) enter(ctx context.Context, under bool) error {
	for g.paused() {
		now := time.Now().UnixNano()
		next := g.next.Load()
		if now >= next {
			if g.next.CompareAndSwap(next, now+int64(g.every)) {
				return nil
			}
			continue
		}
		delay := time.Duration(next-now) + fullJitter(g.every/4)
		if under {
			return Busy(errPaused, delay)
		}
		if cause := wait(ctx, delay); cause != nil {
			return interruption(cause, errPaused)
		}
	}
	return nil
}

// poisoned counts, and tells whether the pause begins with this one.
func (g *gate) poisoned() bool {
	n := g.row.Add(1)
	if g.after == 0 || n != g.after {
		return false
	}
	g.next.Store(time.Now().Add(g.every).UnixNano())
	return true
}

// succeeded ends the row, and tells whether it ends a pause.
func (g *gate) succeeded() bool {
	if g.row.Load() == 0 {
		return false
	}
	n := g.row.Swap(0)
	return g.after > 0 && n >= g.after
}
