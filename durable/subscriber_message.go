package durable

import (
	"bytes"
	"context"
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
	was   *original        // of msg where that is the delivery's own; nil for a copy
	began time.Time        // zero without an OnAttempt
	looks int8             // for the answer, so far
	back  bool             // no receiver has had it; set before its Nack

	over   bool // guarded by mu, as the rest is
	mu     sync.Mutex
	asked  context.Context // ends with c; nil until someone asks
	cancel context.CancelFunc
}

// newGiven is a new attempt of t. What a receiver does to its message is not seen by the next: the first gets the
// delivery's own, which was remembers, and later ones get copies. So does the first where was is nil. Nothing reads a
// message that was handed out, because receivers may work on it after their answer.
func newGiven(t *task, was *original) *given {
	g := &given{Context: t.ctx, t: t}
	of := t.d.Message
	switch {
	case t.pristine != nil:
		g.take(copyMessage(g, t.pristine))
		return g
	case was == nil || unanswerable(of):
		g.take(copyMessage(g, of))
		return g
	}
	was.remember(of)
	g.msg, g.was = of, was
	if of.Metadata == nil { // receivers may Set
		of.Metadata = message.Metadata{}
	}
	g.msg.SetContext(g)
	return g
}

// take has the receiver get a copy, also by DeliveryOf.
func (c *given) take(copied *message.Message) {
	c.msg = copied
	d := *c.t.d
	d.Message = copied
	c.t.ctx.delivery = &d
}

// restore keeps what the message was for the attempts to come.
func (c *given) restore() {
	if c.was != nil {
		c.t.pristine = c.was.message()
	}
}

// unanswerable tells whether msg was answered before, or nobody would see it.
func unanswerable(msg *message.Message) bool {
	return msg.Acked() == nil || msg.Nacked() == nil || isClosed(msg.Acked()) || isClosed(msg.Nacked())
}

// sparePayload is the largest payload in bytes whose memory an original keeps for others.
const sparePayload = 16 << 10

// original is what a message was before its receiver got it. The engine uses its memory again: no one else has it.
type original struct {
	uuid     string
	payload  []byte   // a copy: receivers may write into theirs
	metadata []string // key, value, key, value, …
}

func (o *original) remember(msg *message.Message) {
	o.uuid, o.payload = msg.UUID, append(o.payload, msg.Payload...)
	for k, v := range msg.Metadata {
		o.metadata = append(o.metadata, k, v)
	}
}

// message is the one that was remembered, as a new one.
func (o *original) message() *message.Message {
	m := message.NewMessage(o.uuid, bytes.Clone(o.payload))
	for i := 0; i < len(o.metadata); i += 2 {
		m.Metadata[o.metadata[i]] = o.metadata[i+1]
	}
	return m
}

// forget keeps the memory alone.
func (o *original) forget() {
	clear(o.metadata)
	*o = original{payload: o.payload[:0], metadata: o.metadata[:0]}
	if cap(o.payload) > sparePayload {
		o.payload = nil
	}
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
