package dual

import (
	"context"
	"fmt"
	"sync"
)

// flights counts the calls in flight, so that Close can wait for them within a bound.
type flights struct {
	mu     sync.Mutex
	n      int
	closed bool
	idle   chan struct{} // closed when closed and n is 0; made by close
}

// start is false after close.
func (f *flights) start() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.n++
	return true
}

func (f *flights) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n--; f.n == 0 && f.closed {
		close(f.idle)
	}
}

// close refuses new calls and waits for those in flight until ctx is done.
func (f *flights) close(ctx context.Context) error {
	f.mu.Lock()
	if !f.closed {
		f.closed, f.idle = true, make(chan struct{})
		if f.n == 0 {
			close(f.idle)
		}
	}
	idle := f.idle
	f.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("dual: close publisher: calls still in flight: %w", context.Cause(ctx))
	}
}
