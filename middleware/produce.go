package middleware

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Produce publishes what the handler produced, inside of the policies: a message that cannot be published is a
// failure of the event, which is retried and in the end poisoned like any other. (A Watermill router publishes outside
// of its middlewares and takes the failure for a redelivery, which comes at once.) An event that is tried again
// produces again: at least once.
//
// What the broker refuses for its size or its metadata is a permanent failure. Refused access (durable.ErrDenied) is one
// like any other: the event is tried again, poisoned in the end, and can be redriven once the right is granted.
type Produce struct {
	// Publisher publishes; required. A *durable.Publisher is bounded by the context of the event.
	Publisher message.Publisher
	// Topic is where to; required unless TopicOf is there.
	Topic string
	// TopicOf names the topic of each produced message. Defaults to Topic for all.
	TopicOf func(produced *message.Message) string
}

// Validate returns an *durable.InvalidError that names the field that makes no sense, or nil.
func (p Produce) Validate() error {
	if p.Publisher == nil {
		return durable.Invalid("Produce.Publisher", "nil", "pass the publisher of what handlers produce")
	}
	if p.Topic == "" && p.TopicOf == nil {
		return durable.Invalid("Produce.Topic", "", "name the topic of what handlers produce, or pass TopicOf")
	}
	return nil
}

// Middleware wraps h. The wrapped handler produces nothing.
func (p Produce) Middleware(h message.HandlerFunc) message.HandlerFunc {
	if err := p.Validate(); err != nil {
		return refuse(err)
	}
	return func(msg *message.Message) ([]*message.Message, error) {
		ctx := msg.Context()
		out, err := h(msg)
		if err != nil || len(out) == 0 {
			return nil, err
		}
		return nil, p.publish(ctx, out)
	}
}

// publish publishes out in order, as many of one topic at once as follow each other.
func (p Produce) publish(ctx context.Context, out []*message.Message) error {
	for len(out) > 0 {
		topic, n := p.topicOf(out[0]), 1
		for n < len(out) && p.topicOf(out[n]) == topic {
			n++
		}
		for _, m := range out[:n] {
			m.SetContext(ctx)
		}
		if err := p.send(ctx, topic, out[:n]); err != nil {
			err = fmt.Errorf("middleware: publish %d produced messages to %q: %w", n, topic, err)
			if errors.Is(err, durable.ErrTooLarge) || errors.Is(err, durable.ErrInvalid) {
				return Permanent(err)
			}
			return err
		}
		out = out[n:]
	}
	return nil
}

// send publishes msgs to topic until ctx is done, where the publisher knows contexts.
func (p Produce) send(ctx context.Context, topic string, msgs []*message.Message) error {
	if d, ok := p.Publisher.(*durable.Publisher); ok {
		_, err := d.Append(ctx, topic, msgs...)
		return err
	}
	return p.Publisher.Publish(topic, msgs...)
}

func (p Produce) topicOf(m *message.Message) string {
	if p.TopicOf != nil {
		return p.TopicOf(m)
	}
	return p.Topic
}
