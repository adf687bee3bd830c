package middleware

import (
	"context"
	"errors"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Stack is the policies of a consumer in their default order, outermost first: as the fields stand. A nil field is
// left out; a panic is recovered in any case.
type Stack struct {
	Metrics     Policy // sees every attempt as durable.Process does
	Tracing     Policy
	Filter      *Filter
	Poison      *Poison // acknowledges what was redriven for other groups, too
	Tiers       *Tiers
	Retry       *Retry
	Logging     *Logging
	Dedupe      *Dedupe
	Breaker     *Breaker
	Concurrency *Concurrency
	RateLimit   *RateLimit
	Timeout     *Timeout
	Recover     *Recover // defaults to one that logs
	Produce     *Produce
}

// Chain checks the policies and puts them together.
func (s Stack) Chain() (*Chain, error) {
	var policies []Policy
	add := func(present bool, p Policy) {
		if present {
			policies = append(policies, p)
		}
	}
	add(s.Metrics != nil, s.Metrics)
	add(s.Tracing != nil, s.Tracing)
	add(s.Filter != nil, s.Filter)
	add(s.Poison == nil, Redriven{})
	add(s.Poison != nil, s.Poison)
	add(s.Tiers != nil, s.Tiers)
	add(s.Retry != nil, s.Retry)
	add(s.Logging != nil, s.Logging)
	add(s.Dedupe != nil, s.Dedupe)
	add(s.Breaker != nil, s.Breaker)
	add(s.Concurrency != nil, s.Concurrency)
	add(s.RateLimit != nil, s.RateLimit)
	add(s.Timeout != nil, s.Timeout)
	if s.Recover == nil {
		s.Recover = &Recover{}
	}
	add(true, s.Recover)
	add(s.Produce != nil, s.Produce)
	return NewChain(policies...)
}

// Handler is h in the stack, for durable.Process; see Chain.Handler.
func (s Stack) Handler(h message.HandlerFunc) (message.NoPublishHandlerFunc, error) {
	c, err := s.Chain()
	if err != nil {
		return nil, err
	}
	return c.Handler(h), nil
}

// Batch is h in the stack, for durable.ProcessBatch; see Chain.Batch.
func (s Stack) Batch(h durable.BatchHandler) (durable.BatchHandler, error) {
	c, err := s.Chain()
	if err != nil {
		return nil, err
	}
	return c.Batch(h), nil
}

// Health is nil, or says which policies hold events back because a topic cannot be written, and why.
func (s Stack) Health(ctx context.Context) error {
	var errs []error
	if s.Poison != nil {
		errs = append(errs, s.Poison.Health(ctx))
	}
	if s.Tiers != nil {
		errs = append(errs, s.Tiers.Health(ctx))
	}
	return errors.Join(errs...)
}

// PublisherStack is the policies of a publisher's storing side in their order, outermost first: as the fields stand.
// A nil field is left out.
type PublisherStack struct {
	Metrics func(durable.Backend) durable.Backend
	Tracing func(durable.Backend) durable.Backend
	Poison  *Poison // keeps what the broker rejects
	Retry   *Retry
	Breaker *Breaker
}

// Append checks the policies and returns what dual.Options.Append takes.
func (s PublisherStack) Append() ([]func(durable.Backend) durable.Backend, error) {
	var out []func(durable.Backend) durable.Backend
	for _, f := range []func(durable.Backend) durable.Backend{s.Metrics, s.Tracing} {
		if f != nil {
			out = append(out, f)
		}
	}
	if s.Poison != nil {
		if err := s.Poison.Validate(); err != nil {
			return nil, err
		}
		out = append(out, s.Poison.Append)
	}
	if s.Retry != nil {
		if err := s.Retry.Validate(); err != nil {
			return nil, err
		}
		out = append(out, s.Retry.Append)
	}
	if s.Breaker != nil {
		if err := s.Breaker.Validate(); err != nil {
			return nil, err
		}
		out = append(out, s.Breaker.Append)
	}
	return out, nil
}
