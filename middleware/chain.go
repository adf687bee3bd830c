package middleware

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Policy is what a Chain is made of: the policies of this package, and what Wrap makes.
type Policy interface {
	Validate() error
	Middleware(h message.HandlerFunc) message.HandlerFunc
}

// Wrap makes a Policy of any middleware of Watermill's shape, such as Watermill's own, metrics or tracing. A Chain does
// not know what it does and takes it anywhere.
func Wrap(f message.HandlerMiddleware) Policy { return wrapped{f} }

type wrapped struct{ f message.HandlerMiddleware }

func (w wrapped) Validate() error {
	if w.f == nil {
		return durable.Invalid("Wrap", "nil", "pass a middleware")
	}
	return nil
}

func (w wrapped) Middleware(h message.HandlerFunc) message.HandlerFunc { return w.f(h) }

// Chain is policies in an order that loses no events. It is a Policy itself.
type Chain struct{ policies []Policy }

// kind tells policies apart where their order matters.
type kind string

const (
	kindOther   kind = ""
	kindPoison  kind = "poison"
	kindTiers   kind = "tiers"
	kindRetry   kind = "retry"
	kindDedupe  kind = "dedupe"
	kindBreaker kind = "breaker"
	kindTimeout kind = "timeout"
	kindRecover kind = "recover"
	kindProduce kind = "produce"
)

func kindOf(p Policy) kind {
	switch p.(type) {
	case *Poison:
		return kindPoison
	case *Tiers:
		return kindTiers
	case Retry, *Retry:
		return kindRetry
	case *Dedupe:
		return kindDedupe
	case *Breaker:
		return kindBreaker
	case Timeout, *Timeout:
		return kindTimeout
	case Recover, *Recover:
		return kindRecover
	case Produce, *Produce:
		return kindProduce
	default:
		return kindOther
	}
}

// refusals are the orders that lose events or make a policy useless, and why.
var refusals = [...]struct {
	outer, inner kind
	why          string
}{
	{kindRetry, kindPoison, "the first failure is poisoned, and retry sees a success: put poison outside of retry"},
	{kindRetry, kindTiers, "the first failure goes to a tier, and retry sees a success: put tiers outside of retry"},
	{kindTiers, kindPoison, "an event is poisoned before it has been in any tier: put poison outside of tiers"},
	{kindDedupe, kindPoison, "a poisoned event is remembered as handled, and swallowed when it is redriven: put dedupe inside of poison"},
	{kindDedupe, kindTiers, "an event in a tier is remembered as handled, and swallowed when it is due: put dedupe inside of tiers"},
	{kindDedupe, kindRetry, "a reservation is held through the backoff, in which its lease ends and another member handles the event too: put dedupe inside of retry"},
	{kindRecover, kindPoison, "a panic passes the poison queue, and its event is tried for ever: put recover inside of poison"},
	{kindRecover, kindTiers, "a panic passes the tiers: put recover inside of tiers"},
	{kindRecover, kindRetry, "a panic passes retry, which does not count it: put recover inside of retry"},
	{kindTimeout, kindPoison, "the deadline ends the write into the poison topic: put timeout inside of poison"},
	{kindTimeout, kindTiers, "the deadline ends the write into a tier: put timeout inside of tiers"},
	{kindTimeout, kindRetry, "one deadline is for all attempts and what they wait: put timeout inside of retry"},
	{kindBreaker, kindPoison, "the breaker never sees a failure: put it inside of poison"},
	{kindBreaker, kindTiers, "the breaker never sees a failure: put it inside of tiers"},
	{kindBreaker, kindRetry, "the breaker sees the last of many failures only: put it inside of retry"},
	{kindProduce, kindPoison, "what cannot be published is neither retried nor poisoned: put produce inside of poison"},
	{kindProduce, kindTiers, "what cannot be published does not go to a tier: put produce inside of tiers"},
	{kindProduce, kindRetry, "what cannot be published is not retried: put produce inside of retry"},
	{kindProduce, kindDedupe, "an event is remembered before what it produced is published: put produce inside of dedupe"},
}

// NewChain puts policies together, the first of them outermost. The error is an *durable.InvalidError: that of a
// policy whose settings make no sense, or one that says why the order is refused.
func NewChain(policies ...Policy) (*Chain, error) {
	policies = flat(policies)
	for i, p := range policies {
		if p == nil {
			return nil, durable.Invalid("Chain", fmt.Sprint("policy ", i), "pass a policy, not nil")
		}
		if err := p.Validate(); err != nil {
			return nil, err
		}
	}
	for i, outer := range policies {
		for _, inner := range policies[i+1:] {
			if err := refused(kindOf(outer), kindOf(inner)); err != nil {
				return nil, err
			}
		}
	}
	return &Chain{policies: policies}, nil
}

// flat is policies with the chains among them taken apart, so that their order counts too.
func flat(policies []Policy) []Policy {
	var out []Policy
	for _, p := range policies {
		if c, ok := p.(*Chain); ok && c != nil {
			out = append(out, c.policies...)
			continue
		}
		out = append(out, p)
	}
	return out
}

func refused(outer, inner kind) error {
	if outer == inner && outer != kindOther {
		return durable.Invalid("Chain", string(outer)+" twice", "keep one of them")
	}
	for _, r := range refusals {
		if r.outer == outer && r.inner == inner {
			return durable.Invalid("Chain", string(outer)+" outside of "+string(inner), r.why)
		}
	}
	return nil
}

// Validate returns nil: NewChain did.
func (c *Chain) Validate() error { return nil }

// Middleware wraps h in all policies.
func (c *Chain) Middleware(h message.HandlerFunc) message.HandlerFunc {
	for i := len(c.policies) - 1; i >= 0; i-- {
		h = c.policies[i].Middleware(h)
	}
	return h
}

// batcher is a policy with a form of its own for batches.
type batcher interface {
	Batch(h durable.BatchHandler) durable.BatchHandler
}

// Batch is h in all policies, for durable.ProcessBatch. Filter, Dedupe, Concurrency, Timeout and Recover see the batch as
// a whole; see their methods Batch. The others see each of its events as they would see it alone, and what becomes of it
// (see durable.EachOfBatch): one event is tried again or poisoned, and the rest is not. What failed behind an event of its
// key that failed is handled again, and neither counted nor poisoned. What succeeded behind one that was poisoned is
// acknowledged with it, but not remembered by Dedupe. A Produce has nothing to do.
func (c *Chain) Batch(h durable.BatchHandler) durable.BatchHandler {
	var each []Policy // that stand inside of each other, the innermost first
	around := func() {
		if len(each) == 0 {
			return
		}
		inner := each
		h = durable.EachOfBatch(func(next message.HandlerFunc) message.HandlerFunc {
			for _, p := range inner {
				next = p.Middleware(next)
			}
			return next
		}, h)
		each = nil
	}
	for i := len(c.policies) - 1; i >= 0; i-- {
		p := c.policies[i]
		if b, ok := p.(batcher); ok {
			around()
			h = b.Batch(h)
			continue
		}
		each = append(each, p)
	}
	around()
	return h
}

// errProduced: see Handler.
var errProduced = errors.New("middleware: the handler produced messages and nothing publishes them: add Produce to the chain")

// Handler is h in all policies, for durable.Process. What h produces is published by a Produce in the chain; without
// one, durable.Process ends with an error when h produces something.
func (c *Chain) Handler(h message.HandlerFunc) message.NoPublishHandlerFunc {
	h = c.Middleware(h)
	return func(msg *message.Message) error {
		out, err := h(msg)
		if err == nil && len(out) > 0 {
			return durable.Stop(errProduced)
		}
		return err
	}
}

// NoPublish makes of a handler that produces nothing one that the policies take, such as durable.HandleEvent's.
func NoPublish(h message.NoPublishHandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) { return nil, h(msg) }
}
