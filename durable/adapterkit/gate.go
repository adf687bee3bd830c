package adapterkit

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

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

// Append does what every Append begins with: it checks msgs, of at most maxBytes each (0: any size), and calls store
// within the gate, which returns the position of each, or a *BatchError of what became of each. Any other error of store
// says that nothing was sent. All errors are wrapped with the name of the backend.
func (g *Gate) Append(ctx context.Context, name, topic string, maxBytes int, msgs []*message.Message, store func() ([]durable.Position, error)) ([]durable.Position, error) {
	var ps []durable.Position
	err := g.Enter(ctx)
	if err == nil {
		defer g.Leave()
		if len(msgs) == 0 {
			return nil, nil
		}
		if err = durable.CheckAppend(topic, maxBytes, msgs); err == nil {
			ps, err = store()
		}
	}
	var batch *durable.BatchError
	switch {
	case err == nil:
		return ps, nil
	case !errors.As(err, &batch) && len(msgs) > 0:
		err = durable.FailAll(topic, len(msgs), durable.NotSent, err)
	}
	if ps == nil {
		ps = make([]durable.Position, len(msgs))
	}
	return ps, fmt.Errorf("%s: %w", name, err)
}

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
		if err := Ended(ctx, closed); err != nil {
			return err
		}
		if ok, err := try(); ok || err != nil {
			return err
		}
		select {
		case <-again:
		case <-closed:
		case <-ctx.Done():
		}
	}
}

// Ended is ErrClosed where closed is, else ctx's error.
func Ended(ctx context.Context, closed <-chan struct{}) error {
	select {
	case <-closed:
		return durable.ErrClosed
	default:
		return ctx.Err()
	}
}
