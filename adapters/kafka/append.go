package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Append implements durable.Backend. It also ends after Config.AppendTimeout.
func (b *Backend) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	if err := b.enter(&b.calls); err != nil {
		return make([]durable.Position, len(msgs)), failed(durable.FailAll(topic, len(msgs), durable.NotSent, err))
	}
	defer b.calls.Done()
	if len(msgs) == 0 {
		return nil, nil
	}
	none := make([]durable.Position, len(msgs))
	if err := durable.CheckAppend(topic, 0, msgs); err != nil {
		return none, failed(err)
	}
	if err := ctx.Err(); err != nil {
		return none, failed(durable.FailAll(topic, len(msgs), durable.NotSent, context.Cause(ctx)))
	}
	c, i, err := b.call(topic, msgs)
	if err != nil {
		return none, failed(durable.FailInvalid(topic, len(msgs), i, err))
	}
	bound := b.timer()
	defer b.release(bound)
	for !b.writer.queue(topic, c) {
		if err := b.findTopic(ctx, topic, bound.C); err != nil {
			return none, failed(durable.FailAll(topic, len(msgs), durable.NotSent, err))
		}
	}
	if err := b.await(ctx, c, bound.C); err != nil {
		return c.result(b.writer.withdraw(topic, c), topic, msgs, none, err)
	}
	return c.result(c.slots, topic, msgs, none, nil)
}

var errAppendTimeout = fmt.Errorf("no acknowledgement within the append timeout: %w", durable.ErrUnavailable)

// failed names the backend; a BatchError names operation and topic itself.
func failed(err error) error { return fmt.Errorf("kafka: %w", err) }

// timer is one of Config.AppendTimeout, to be given back by release.
func (b *Backend) timer() *time.Timer {
	t, ok := b.timers.Get().(*time.Timer)
	if !ok {
		return time.NewTimer(b.cfg.AppendTimeout)
	}
	t.Reset(b.cfg.AppendTimeout)
	return t
}

func (b *Backend) release(t *time.Timer) {
	t.Stop()
	b.timers.Put(t)
}

// await waits until every record is settled.
func (b *Backend) await(ctx context.Context, c *call, bound <-chan time.Time) error {
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-bound:
		return errAppendTimeout
	case <-b.life.Done():
		return durable.ErrClosed
	}
}
