package durable

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// HandleEvent makes a handler of messages from a handler of events. The ctx that h gets is the message's; see
// Process. A message that is not an event is an error of the handler that matches ErrUndecodable.
func HandleEvent(h func(ctx context.Context, e Event) error) message.NoPublishHandlerFunc {
	return func(msg *message.Message) error {
		if err := decodeErr(msg); err != nil {
			return err
		}
		e, err := EventOf(msg)
		if err != nil {
			return Undecodable(err)
		}
		return h(msg.Context(), e)
	}
}

// decodeErr is why the backend could not decode msg, as an error that matches ErrUndecodable.
func decodeErr(msg *message.Message) error {
	c, ok := msg.Context().Value(deliveryKey{}).(*deliveryContext)
	if !ok {
		return nil
	}
	return Undecodable(c.delivery.DecodeErr)
}

// DeliveryOf returns the delivery that a handler under Process works on, from the context of its message; false where
// the handler does not run under Process. Group is set, and Attempt counts the attempts of this process too.
func DeliveryOf(ctx context.Context) (Delivery, bool) {
	c, ok := ctx.Value(deliveryKey{}).(*deliveryContext)
	if !ok {
		return Delivery{}, false
	}
	return c.run.delivery(c), true
}

// Scheduled tells whether Process sees the error that a handler returns for the message of ctx, and schedules by it. It
// does not for a message of a Subscriber, whose receiver can only acknowledge it or not, nor outside of Process.
func Scheduled(ctx context.Context) bool {
	scheduled, _ := ctx.Value(scheduledKey{}).(bool)
	return scheduled
}

// PanicError is a panic of a handler, made an error.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // of the goroutine that panicked
}

// Error implements error, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.Value) }

// Unwrap is the value where it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

type (
	deliveryKey  struct{}
	scheduledKey struct{}
)

// deliveryContext is the context of one attempt: it ends as the claim's does, and has the values of the context
// that Process was given. It is part of a task, so that the first attempt allocates nothing.
type deliveryContext struct {
	context.Context // of the claim, in this run
	run             *run
	delivery        *Delivery
	attempt         int
}

// Value implements context.Context.
func (c *deliveryContext) Value(key any) any {
	switch key.(type) {
	case deliveryKey:
		return c
	case scheduledKey:
		return true
	}
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.run.values.Value(key)
}

// errExited is the error of a handler that ended its goroutine instead of returning.
var errExited = errors.New("handler called runtime.Goexit")

// attempt is invoke, told to OnAttempt where there is one.
func (r *run) attempt(t *task) error {
	if r.o.OnAttempt == nil {
		return r.invoke(t)
	}
	start := time.Now()
	err := r.invoke(t)
	r.observe(t, time.Since(start), err)
	return err
}

// tellPanic logs p, of the handler of ts, with its stack: once for each delivery, and not at every attempt.
func (r *run) tellPanic(ts []*task, p *PanicError) {
	for _, t := range ts {
		if t.ctx.attempt == t.first.attempt {
			r.logger.Error("durable: handler panicked", "topic", t.d.Topic, "position", string(t.d.Position),
				"deliveries", len(ts), "panic", p.Error(), "stack", string(p.Stack))
			return
		}
	}
}

// observe calls OnAttempt, whose panic is logged.
func (r *run) observe(t *task, took time.Duration, err error) {
	defer func() {
		if v := recover(); v != nil {
			r.logger.Error("durable: ProcessOptions.OnAttempt panicked", "panic", v)
		}
	}()
	r.o.OnAttempt(r.attempted(t.d, t.ctx), took, err) // a receiver may still work on its own message
}

// delivery is what handlers are told about the attempt c.
func (r *run) delivery(c *deliveryContext) Delivery { return r.attempted(c.delivery, c) }

// attempted is d in the attempt c.
func (r *run) attempted(d *Delivery, c *deliveryContext) Delivery {
	told := *d
	told.Attempt, told.Group = c.attempt, r.group
	return told
}

// invoke runs the handler once on t, outside of any lock. A handler that calls runtime.Goexit takes the worker with
// it: t is settled on the way out, as failed.
func (r *run) invoke(t *task) (err error) {
	returned := false
	defer func() {
		v := recover()
		if v == nil && !returned {
			r.exited(t)
			return
		}
		if v != nil {
			p := &PanicError{Value: v, Stack: debug.Stack()}
			r.tellPanic([]*task{t}, p)
			err = p
		}
	}()
	t.d.Message.SetContext(t.ctx)
	if t.d.DecodeErr != nil && r.o.Undecodable != nil {
		err = r.o.Undecodable(t.ctx, r.delivery(t.ctx))
	} else {
		err = r.handler(t.d.Message)
	}
	returned = true
	return err
}
