package durable

import (
	"context"
	"maps"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// deliver hands a copy of msg to the receiver of out and waits for its answer. ending ends with the subscription.
func deliver(ending context.Context, out chan<- *message.Message, msg *message.Message) error {
	ctx := &givenContext{Context: msg.Context()}
	defer ctx.end()
	given := message.NewMessageWithContext(ctx, msg.UUID, msg.Payload)
	if msg.Metadata != nil {
		given.Metadata = maps.Clone(msg.Metadata)
	}
	over := ctx.Context.Done()
	select {
	case out <- given:
	case <-ending.Done():
		return Release(errClosing)
	case <-over:
		return Release(context.Cause(ctx.Context)) // not of ctx, whose own end may follow a moment later
	}
	select {
	case <-given.Acked():
		return nil
	case <-given.Nacked():
		return errNacked
	case <-over:
		return Release(context.Cause(ctx.Context)) // not of ctx, whose own end may follow a moment later
	}
}

// givenContext is the context of a message that is with a receiver: that of the attempt, which ends with the answer too.
// Most receivers never ask for its end, and what that takes is made for those who do.
type givenContext struct {
	context.Context // of the attempt

	mu     sync.Mutex
	asked  context.Context // ends with c; nil until someone asks
	cancel context.CancelFunc
	over   bool
}

// end is the answer.
func (c *givenContext) end() {
	c.mu.Lock()
	c.over = true
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// ending is the context that ends when c does.
func (c *givenContext) ending() context.Context {
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
func (c *givenContext) Done() <-chan struct{} { return c.ending().Done() }

// Err implements context.Context.
func (c *givenContext) Err() error { return c.ending().Err() }

// Value implements context.Context. It gives what Done belongs to as the parent of contexts that end with c.
func (c *givenContext) Value(key any) any {
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
