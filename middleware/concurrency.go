package middleware

import (
	"context"
	"runtime"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
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
	c.once.Do(func() { c.slots = make(chan struct{}, orDefault(c.Max, runtime.GOMAXPROCS(0))) })
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
