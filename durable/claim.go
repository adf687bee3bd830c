package durable

import (
	"context"
	"sync"
)

// Claim is the ownership of one partition of a topic by one member, in one epoch.
//
// It ends in two phases. When it must be given up, Draining is closed: start nothing more, let what runs finish,
// release the rest. When ownership is lost or the time for draining is over, its context ends; acks under it are
// then ignored. A handler that ignores its context past that moment can overlap with the next owner.
//
// Adapters make claims with [NewClaim]; all methods are safe for concurrent use.
type Claim struct {
	topic     string
	partition int
	epoch     int64
	ctx       context.Context
	cancel    context.CancelCauseFunc
	held      func() bool // see Guard; nil: none
	drainOnce sync.Once
	draining  chan struct{}
}

// NewClaim returns a held claim whose context descends from parent. Epoch grows with every change of owner as far
// as the backend knows it.
func NewClaim(parent context.Context, topic string, partition int, epoch int64) *Claim {
	ctx, cancel := context.WithCancelCause(parent)
	return &Claim{topic: topic, partition: partition, epoch: epoch, ctx: ctx, cancel: cancel, draining: make(chan struct{})}
}

// Topic is the topic of the claimed partition.
func (c *Claim) Topic() string { return c.topic }

// Partition is the number of the claimed partition, from 0.
func (c *Claim) Partition() int { return c.partition }

// Epoch tells claims of one partition apart.
func (c *Claim) Epoch() int64 { return c.epoch }

// Draining is closed when the claim must be given up, and when it is lost.
func (c *Claim) Draining() <-chan struct{} { return c.draining }

// Context ends when the claim is lost; its cause is what [Claim.Lose] was given.
func (c *Claim) Context() context.Context { return c.ctx }

// Lost tells whether the claim's context has ended. The engine asks before it starts a handler.
func (c *Claim) Lost() bool {
	if c.ctx.Err() != nil {
		return true
	}
	if c.held == nil || c.held() {
		return false
	}
	c.Lose(ErrFenced)
	return true
}

// Guard has Lost ask held too: when that says false the claim is lost with ErrFenced at that moment, such as in a
// process that was stopped for longer than its lease, before anything else in it noticed. Call Guard before the claim
// is handed out; held is called often, from any goroutine, and does not block. For adapters.
func (c *Claim) Guard(held func() bool) { c.held = held }

// Drain begins the hand-over. It is idempotent. For adapters.
func (c *Claim) Drain() { c.drainOnce.Do(func() { close(c.draining) }) }

// Lose ends the claim with cause (ErrFenced if nil), and closes Draining once that is so: who waits for it sees at once
// whether something can still be acknowledged. It is idempotent. For adapters.
func (c *Claim) Lose(cause error) {
	if cause == nil {
		cause = ErrFenced
	}
	c.cancel(cause)
	c.Drain()
}
