package middleware

import (
	"context"
	"runtime"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Concurrency bounds how many events are handled side by side by all handlers that share it, such as those that use
// one database. An event waits for its turn; one whose context ends meanwhile is not a failure.
//
// A Concurrency must not be copied after its first use.
type Concurrency struct {
	// Max is how many are handled at once. Defaults to GOMAXPROCS.
	Max int

	once  sync.Once
	slots chan struct{} // one element for each event that is handled
}

// Validate returns an *durable.InvalidError where Max is negative.
func (c *Concurrency) Validate() error { return notNegative("Concurrency.Max", c.Max) }

// Middleware wraps h.
func (c *Concurrency) Middleware(h message.HandlerFunc) message.HandlerFunc {
	if err := c.Validate(); err != nil {
		return refuse(err)
	}
	c.open()
	return func(msg *message.Message) ([]*message.Message, error) {
		ctx := msg.Context()
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, interruption(context.Cause(ctx), errTurn)
		}
		defer func() { <-c.slots }()
		return h(msg)
	}
}

// Batch is Middleware for durable.ProcessBatch: a batch counts as one event.
func (c *Concurrency) Batch(h durable.BatchHandler) durable.BatchHandler {
	if err := c.Validate(); err != nil {
		return refuseBatch(err)
	}
	c.open()
	return func(ctx context.Context, ds []durable.Delivery) []error {
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return repeated(interruption(context.Cause(ctx), errTurn), len(ds))
		}
		defer func() { <-c.slots }()
		return h(ctx, ds)
	}
}

// open makes the slots at the first use.
func (c *Concurrency) open() {
	c.once.Do(func() { c.slots = make(chan struct{}, orDefault(c.Max, runtime.GOMAXPROCS(0))) })
}
