package realtime

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// PanicError is a panic of a backend's Notify, made an error.
type PanicError struct {
	Value any // what was given to panic
}

// Error implements error.
func (e *PanicError) Error() string { return fmt.Sprintf("Notify panicked: %v", e.Value) }

// Unwrap is the value where it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// call is one Notify of the backend. A panic of it, which would end the process, is counted and a failure like any
// other; its stack is logged when failures begin.
func (d *Dispatcher) call(ctx context.Context, batch []Notification) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		err = &PanicError{Value: v}
		d.mu.Lock()
		d.stats.Panics++
		first := d.breaker.failures == 0
		d.mu.Unlock()
		if first {
			d.o.Logger.Error("realtime: the backend panicked in Notify", d.name(), slog.Any("panic", v),
				slog.String("stack", string(debug.Stack())))
		}
	}()
	return d.backend.Notify(ctx, batch...)
}
