package middleware

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/time/rate"

	"github.com/dualstream/dualstream/durable"
)

// DefaultPerSecond is the rate of RateLimit.
const DefaultPerSecond = 100

// errTurn: an event waited for its turn.
var errTurn = errors.New("waiting for its turn")

// RateLimit bounds how many events a second are handled by all handlers that share it. An event waits for its turn;
// one whose context ends meanwhile is not a failure. It is a token bucket of golang.org/x/time/rate.
//
// A RateLimit must not be copied after its first use.
type RateLimit struct {
	// PerSecond is the rate. Defaults to 100.
	PerSecond float64
	// Burst is how many may go at once after a quiet time. Defaults to 1.
	Burst int

	once    sync.Once
	limiter *rate.Limiter
}

// Validate returns an *durable.InvalidError that names the field that makes no sense, or nil.
func (r *RateLimit) Validate() error {
	return firstError(notNegative("RateLimit.PerSecond", r.PerSecond), notNegative("RateLimit.Burst", r.Burst))
}

// Middleware wraps h.
func (r *RateLimit) Middleware(h message.HandlerFunc) message.HandlerFunc {
	if err := r.Validate(); err != nil {
		return refuse(err)
	}
	r.once.Do(func() {
		r.limiter = rate.NewLimiter(rate.Limit(orDefault(r.PerSecond, DefaultPerSecond)), orDefault(r.Burst, 1))
	})
	return func(msg *message.Message) ([]*message.Message, error) {
		ctx := msg.Context()
		if err := r.limiter.Wait(ctx); err != nil {
			if ctx.Err() != nil {
				return nil, interruption(context.Cause(ctx), errTurn)
			}
			return nil, durable.Release(durable.RetryAfter(err, time.Second)) // its turn is after its deadline
		}
		return h(msg)
	}
}
