package adapterkit

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/dualstream/dualstream/durable"
)

// Gate is the lifecycle of a backend: it lets calls in until Close, which waits for those in flight and closes what the
// backend opened. Make it with NewGate; its methods are safe for concurrent use.
type Gate struct {
	done chan struct{} // closed by Close

	mu     sync.Mutex
	calls  int
	idle   chan struct{} // not nil while Close waits for the last call; closed by that
	closed bool
	kept   map[Closer]struct{}
}

// Closer is what a backend opened and closes, such as a durable.Consumer.
type Closer interface {
	Close(ctx context.Context) error
}

// NewGate returns an open gate.
func NewGate() *Gate { return &Gate{done: make(chan struct{}), kept: map[Closer]struct{}{}} }

// Enter begins a call. The error is ErrClosed or ctx's; without one the call ends with Leave.
func (g *Gate) Enter(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return durable.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	g.calls++
	return nil
}

// Leave ends a call.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.calls--; g.calls == 0 && g.idle != nil {
		close(g.idle)
		g.idle = nil
	}
}

// Done is closed when Close is called: calls that wait end then.
func (g *Gate) Done() <-chan struct{} { return g.done }

// Keep has Close close c, unless Forget comes first. Call it between Enter and Leave.
func (g *Gate) Keep(c Closer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.kept[c] = struct{}{}
}

// Forget undoes Keep. What closes itself calls it.
func (g *Gate) Forget(c Closer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.kept, c)
}

// Close refuses further calls, waits for those in flight until ctx is done, and closes what is kept. It may be called
// again: what was not closed is then tried once more.
func (g *Gate) Close(ctx context.Context) error {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.done)
	}
	if g.calls > 0 && g.idle == nil {
		g.idle = make(chan struct{})
	}
	idle := g.idle
	g.mu.Unlock()
	if idle != nil {
		select {
		case <-idle:
		case <-ctx.Done():
			return fmt.Errorf("close: calls are in flight: %w", ctx.Err())
		}
	}
	g.mu.Lock()
	var open []Closer
	for c := range g.kept {
		open = append(open, c)
	}
	g.mu.Unlock()
	var errs []error
	for _, c := range open {
		err := c.Close(ctx)
		if errs = append(errs, err); err == nil {
			g.Forget(c)
		}
	}
	return errors.Join(errs...)
}

// Until calls try until that is true or an error, and again when again yields: a channel with room for one wake-up, or
// time.Tick. It ends with ErrClosed when closed is, and with ctx's error.
func Until[T any](ctx context.Context, closed <-chan struct{}, again <-chan T, try func() (bool, error)) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if ok, err := try(); ok || err != nil {
			return err
		}
		select {
		case <-again:
		case <-closed:
			return durable.ErrClosed
		case <-ctx.Done():
		}
	}
}
