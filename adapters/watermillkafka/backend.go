// Package watermillkafka makes Watermill's adapter to Kafka (github.com/ThreeDotsLabs/watermill-kafka) a backend, for
// both sides: for programs whose Pub/Sub stays as it is while the rest moves. The adapter of this module is the package
// kafka; it writes the same records, and a group goes on with it where it was.
//
// What Watermill's cannot do is refused, see durable.FromWatermill: there is no Replay, no position, and a group begins
// at the oldest record. Members share the partitions; the order per key is kept whatever their number, and a record that
// is in work while members come or go is handled twice. A publish sends one message at a time.
package watermillkafka

import (
	"context"
	"fmt"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/internal/watermillkit"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// Open returns a durable backend. A cluster that cannot be reached is durable.ErrUnavailable.
func Open(ctx context.Context, cfg Config) (durable.Backend, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("watermillkafka: open: %w", err)
	}
	marshaler := cfg.Marshaler
	if marshaler == nil {
		marshaler = keyed{key: durable.Key}
	}
	pub, err := cfg.publisher(ctx, marshaler)
	if err != nil {
		return nil, err
	}
	return durable.FromWatermill(durable.Watermill{
		Name:      "watermill-kafka",
		Publisher: pub,
		Subscriber: func(g durable.Group) (message.Subscriber, error) {
			return kafka.NewSubscriber(kafka.SubscriberConfig{
				Brokers: cfg.Brokers, Unmarshaler: tolerant{marshaler}, ConsumerGroup: g.Name,
				OverwriteSaramaConfig: cfg.consumer(sarama.OffsetOldest),
			}, watermillkit.Logger(cfg.Logger))
		},
		Ordered:         true,
		OldestOnly:      true,
		MaxMessageBytes: cfg.maxMessageBytes(),
		DecodeErr:       watermillkit.DecodeErr,
		Close:           pub.Close,
	})
}

// OpenRealtime returns a real-time backend on one topic, realtime.DefaultTopic where topic is "". It must exist, or the
// brokers make topics that are asked for; they keep what is published there for as long as the topic is set to.
func OpenRealtime(ctx context.Context, cfg Config, topic string) (realtime.Backend, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("watermillkafka: open: %w", err)
	}
	marshaler := cfg.Marshaler
	if marshaler == nil {
		marshaler = keyed{key: func(m *message.Message) string { return m.Metadata[realtime.MetaChannel] }}
	}
	pub, err := cfg.publisher(ctx, marshaler)
	if err != nil {
		return nil, err
	}
	return realtime.FromWatermill(realtime.Watermill{
		Name:      "watermill-kafka",
		Publisher: pub,
		Subscriber: func() (message.Subscriber, error) {
			return kafka.NewSubscriber(kafka.SubscriberConfig{
				Brokers: cfg.Brokers, Unmarshaler: tolerant{marshaler},
				OverwriteSaramaConfig: cfg.consumer(sarama.OffsetNewest),
			}, watermillkit.Logger(cfg.Logger))
		},
		Topic: topic,
		Close: pub.Close,
	})
}

// publisher dials, which takes no context: where ctx ends first, what was dialled is closed later.
func (c Config) publisher(ctx context.Context, m kafka.Marshaler) (*kafka.Publisher, error) {
	type opened struct {
		pub *kafka.Publisher
		err error
	}
	done := make(chan opened, 1) // received from, or closed later
	go func() {
		pub, err := kafka.NewPublisher(kafka.PublisherConfig{
			Brokers: c.Brokers, Marshaler: m, OverwriteSaramaConfig: c.producer(),
		}, watermillkit.Logger(c.Logger))
		done <- opened{pub, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return nil, fmt.Errorf("watermillkafka: open: %w: %w", durable.ErrUnavailable, o.err)
		}
		return o.pub, nil
	case <-ctx.Done():
		go func() {
			if o := <-done; o.err == nil {
				_ = o.pub.Close()
			}
		}()
		return nil, fmt.Errorf("watermillkafka: open: %w: %w", durable.ErrUnavailable, context.Cause(ctx))
	}
}
