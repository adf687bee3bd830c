package middleware

import (
	"log/slog"
	"runtime/debug"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Recover makes a panic of the handler a *durable.PanicError, which is an error like any other to the policies
// outside: retried, and poisoned with its own reason.
type Recover struct {
	// Logger is told of every panic with its stack. Defaults to slog.Default().
	Logger *slog.Logger
}

// Validate returns nil: there is nothing to get wrong.
func (r Recover) Validate() error { return nil }

// Middleware wraps h.
func (r Recover) Middleware(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) (out []*message.Message, err error) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			p := &durable.PanicError{Value: v, Stack: debug.Stack()}
			orDefault(r.Logger, slog.Default()).Error("middleware: handler panicked",
				"event", msg.UUID, "panic", p.Error(), "stack", string(p.Stack))
			out, err = nil, p
		}()
		return h(msg)
	}
}
