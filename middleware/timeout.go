package middleware

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// DefaultTimeout is that of Timeout.
const DefaultTimeout = 30 * time.Second

// Timeout bounds every attempt: the context of the message has a deadline. It does not leave a handler behind that
// ignores its context. Its error then, where it has one that says so, is a *[TimeoutError]; a handler that succeeds
// late has succeeded.
type Timeout struct {
	// After is how long an attempt may take. Defaults to 30 s.
	After time.Duration
}

// TimeoutError is the error of an attempt that ran into its Timeout. It matches context.DeadlineExceeded.
type TimeoutError struct {
	After time.Duration
	Err   error // of the handler
}

// Error implements error.
func (e *TimeoutError) Error() string {
	return "timeout after " + e.After.String() + ": " + e.Err.Error()
}

// Is makes it match context.DeadlineExceeded, also where the handler made context.Canceled of it.
func (e *TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Unwrap is the error of the handler.
func (e *TimeoutError) Unwrap() error { return e.Err }

// Validate returns an *durable.InvalidError where After is negative.
func (t Timeout) Validate() error { return notNegative("Timeout.After", t.After) }

// Middleware wraps h.
func (t Timeout) Middleware(h message.HandlerFunc) message.HandlerFunc {
	if err := t.Validate(); err != nil {
		return refuse(err)
	}
	after := orDefault(t.After, DefaultTimeout)
	return func(msg *message.Message) ([]*message.Message, error) {
		parent := msg.Context()
		ctx := &deadline{parent: parent, at: time.Now().Add(after)}
		msg.SetContext(ctx)
		defer func() {
			ctx.end()
			msg.SetContext(parent)
		}()
		out, err := h(msg)
		if err != nil && parent.Err() == nil && !time.Now().Before(ctx.at) && timedOut(err) {
			return nil, &TimeoutError{After: after, Err: err}
		}
		return out, err
	}
}

// Batch is Middleware for durable.ProcessBatch: the whole batch has the time of one attempt. The context of the batch has
// the deadline; those of its messages have not.
func (t Timeout) Batch(h durable.BatchHandler) durable.BatchHandler {
	if err := t.Validate(); err != nil {
		return refuseBatch(err)
	}
	after := orDefault(t.After, DefaultTimeout)
	return func(parent context.Context, ds []durable.Delivery) []error {
		ctx, cancel := context.WithTimeout(parent, after)
		defer cancel()
		errs := h(ctx, ds)
		if parent.Err() != nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return errs
		}
		out := slices.Clone(errs)
		for i, err := range out {
			if err != nil && timedOut(err) {
				out[i] = &TimeoutError{After: after, Err: err}
			}
		}
		return out
	}
}

// timedOut tells whether err can come from a context that ended: clients make either of it.
func timedOut(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// deadline is a context with a deadline whose timer is started only when somebody asks for Done: most handlers pass
// their context on without looking at it, or never.
type deadline struct {
	parent context.Context
	at     time.Time

	mu     sync.Mutex
	real   context.Context // nil until Done is asked for
	cancel context.CancelFunc
	ended  bool
}

// Deadline implements context.Context.
func (d *deadline) Deadline() (time.Time, bool) {
	if at, ok := d.parent.Deadline(); ok && at.Before(d.at) {
		return at, true
	}
	return d.at, true
}

// Done implements context.Context.
func (d *deadline) Done() <-chan struct{} { return d.started().Done() }

// started is the context that has the timer.
func (d *deadline) started() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.real == nil {
		d.real, d.cancel = context.WithDeadline(d.parent, d.at)
		if d.ended {
			d.cancel()
		}
	}
	return d.real
}

// Err implements context.Context.
func (d *deadline) Err() error {
	if c := d.current(); c != nil {
		return c.Err()
	}
	if err := d.parent.Err(); err != nil || time.Now().Before(d.at) {
		return err
	}
	return d.started().Err()
}

// Value implements context.Context. Through the context that has the timer, children find whom to follow.
func (d *deadline) Value(key any) any {
	if c := d.current(); c != nil {
		return c.Value(key)
	}
	return d.parent.Value(key)
}

func (d *deadline) current() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.real == nil && d.ended {
		d.real, d.cancel = context.WithDeadline(d.parent, d.at)
		d.cancel()
	}
	return d.real
}

// end cancels the context as the handler returns.
func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	if d.cancel != nil {
		d.cancel()
	}
}
