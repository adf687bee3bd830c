package middleware

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Append wraps the storing side of a dual.Publisher (Options.Append): what the broker rejects for good is kept in the
// poison topic, with the class ReasonRejected. It stays the error of the publisher all the same, which says so too
// where the poison topic could not be written. What the publisher may not write (durable.ErrDenied) is not kept: there is
// nothing wrong with it.
func (p *Poison) Append(b durable.Backend) durable.Backend {
	s, invalid := p.open()
	if invalid != nil {
		return WrapAppend(b, func(_ context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
			return make([]durable.Position, len(msgs)), durable.FailAll(topic, len(msgs), durable.Rejected, invalid)
		})
	}
	return WrapAppend(b, func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		positions, err := b.Append(ctx, topic, msgs...)
		if err == nil {
			return positions, nil
		}
		return positions, s.keepRejected(ctx, topic, msgs, err)
	})
}

// keepRejected puts what err says was rejected into the poison topic.
func (s *poison) keepRejected(ctx context.Context, topic string, msgs []*message.Message, err error) error {
	var batch *durable.BatchError
	if !errors.As(err, &batch) || len(batch.Outcomes) != len(msgs) {
		return err
	}
	out := &durable.BatchError{Topic: batch.Topic, Outcomes: append([]durable.Outcome(nil), batch.Outcomes...)}
	lost := false
	for i := range out.Outcomes {
		o := &out.Outcomes[i]
		if o.Status != durable.Rejected || msgs[i] == nil || errors.Is(o.Err, durable.ErrDenied) {
			continue
		}
		f := firstFailure(durable.Delivery{}, o.Err, ReasonRejected)
		u := s.prepare(ctx, msgs[i], durable.Delivery{Topic: topic}, f)
		if werr := s.saver.write(ctx, u); werr != nil {
			lost = true
			o.Err = fmt.Errorf("%w; not kept in %q either: %w", o.Err, u.topic, werr)
			s.saver.failed(u, werr)
			continue
		}
		s.saver.succeeded(u)
		if s.onPoison != nil {
			s.onPoison(PoisonEvent{Topic: topic, PoisonTopic: u.topic, Failure: f, Message: msgs[i]})
		}
	}
	if !lost {
		return err
	}
	return out
}
