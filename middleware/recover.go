package middleware

import (
	"context"
	"errors"
	"fmt"
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
			if v := recover(); v != nil {
				out, err = nil, r.recovered(v, "event", msg.UUID)
			}
		}()
		return h(msg)
	}
}

// recovered is the error of a handler that panicked with v, which is logged with what.
func (r Recover) recovered(v any, what ...any) error {
	p := &durable.PanicError{Value: v, Stack: debug.Stack()}
	orDefault(r.Logger, slog.Default()).Error("middleware: handler panicked",
		append(what, "panic", p.Error(), "stack", string(p.Stack))...)
	return p
}

// errBehind: an event of the same key failed before.
var errBehind = errors.New("an earlier event of its key failed")

// Batch is Middleware for durable.ProcessBatch. After a panic the events of the batch are handled at once again, one by
// one, so that those fail alone that are not to be handled; what follows one of them in its key is given back.
func (r Recover) Batch(h durable.BatchHandler) durable.BatchHandler {
	return func(ctx context.Context, ds []durable.Delivery) []error {
		errs, panicked := r.guard(ctx, h, ds)
		if panicked == nil {
			return errs
		}
		if len(ds) == 1 {
			return []error{panicked}
		}
		out := make([]error, len(ds))
		failed := map[string]bool{}
		for i := range ds {
			if key := ds[i].Key; key != "" && failed[key] {
				out[i] = durable.Release(errBehind)
				continue
			}
			one, panicked := r.guard(ctx, h, ds[i:i+1])
			switch {
			case panicked != nil:
				out[i] = panicked
			case len(one) == 1:
				out[i] = one[0]
			case one != nil:
				out[i] = fmt.Errorf("the handler of a batch of 1 returned %d errors", len(one))
			}
			failed[ds[i].Key] = out[i] != nil
		}
		return out
	}
}

// guard calls h; panicked is its panic.
func (r Recover) guard(ctx context.Context, h durable.BatchHandler, ds []durable.Delivery) (errs []error, panicked error) {
	defer func() {
		if v := recover(); v != nil {
			errs, panicked = nil, r.recovered(v, "events", len(ds))
		}
	}()
	return h(ctx, ds), nil
}
