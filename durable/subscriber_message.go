package durable

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// given is a message that is with a receiver or on its way to one, and its context: that of the attempt, which ends
// with the answer too. Most receivers never ask for its end, and what that takes is made for those who do.
type given struct {
	context.Context // of the attempt

	t     *task
	msg   *message.Message // the receiver's
	began time.Time        // zero without an OnAttempt
	looks int              // for the answer, so far
	back  bool             // no receiver has had it; set before its Nack

	mu     sync.Mutex
	asked  context.Context // ends with c; nil until someone asks
	cancel context.CancelFunc
	over   bool
}

// newGiven is a new attempt of t, with a message of its own: what a receiver does to it is not seen by the next.
func newGiven(t *task) *given {
	of := t.d.Message
	of.SetContext(t.ctx)
	g := &given{Context: t.ctx, t: t}
	g.msg = message.NewMessageWithContext(g, of.UUID, of.Payload)
	if of.Metadata != nil {
		g.msg.Metadata = maps.Clone(of.Metadata)
	}
	return g
}

// takeBack answers a message that no receiver gets.
func (c *given) takeBack() {
	c.back = true
	c.msg.Nack()
}

// answer is the error of the answer, where there is one.
func (c *given) answer() (answered bool, err error) {
	select {
	case <-c.msg.Acked():
		return true, nil
	default:
	}
	select {
	case <-c.msg.Nacked():
		return true, c.refusal()
	default:
		return false, nil
	}
}

// refusal is the error of a message that was nacked.
func (c *given) refusal() error {
	if c.back {
		return Release(errClosing)
	}
	return errNacked
}

// end is the answer.
func (c *given) end() {
	c.mu.Lock()
	c.over = true
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// ending is the context that ends when c does.
func (c *given) ending() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil {
		c.asked, c.cancel = context.WithCancel(c.Context)
		if c.over {
			c.cancel()
		}
	}
	return c.asked
}

// Done implements context.Context.
func (c *given) Done() <-chan struct{} { return c.ending().Done() }

// Err implements context.Context.
func (c *given) Err() error { return c.ending().Err() }

// Value implements context.Context. It gives what Done belongs to as the parent of contexts that end with c.
func (c *given) Value(key any) any {
	if _, ok := key.(scheduledKey); ok {
		return false
	}
	c.mu.Lock()
	ctx := c.asked
	if ctx == nil {
		ctx = c.Context
	}
	over := c.over
	c.mu.Unlock()
	if over {
		ctx = c.ending()
	}
	return ctx.Value(key)
}
