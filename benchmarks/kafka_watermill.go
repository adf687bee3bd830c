package main

import (
	"context"
	"errors"

	"github.com/IBM/sarama"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// watermillMarshaler places messages by the key that everybody here uses.
func watermillMarshaler() wmkafka.MarshalerUnmarshaler {
	return wmkafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) { return durable.Key(m), nil })
}

// watermillConfig is Watermill's own, made as durable as the others.
func watermillConfig() *sarama.Config {
	cfg := wmkafka.DefaultSaramaSyncPublisherConfig()
	cfg.Version = sarama.V3_9_0_0
	cfg.Producer.RequiredAcks = sarama.WaitForAll
	cfg.Producer.Idempotent = true
	cfg.Net.MaxOpenRequests = 1
	return cfg
}

// watermillKafka publishes with Watermill's adapter, which sends one message after the other.
func watermillKafka(open func(*lab) (*cluster, error)) appender {
	return func(_ context.Context, l *lab) (store, appendFunc, error) {
		c, err := open(l)
		if err != nil {
			return nil, nil, err
		}
		pub, err := wmkafka.NewPublisher(wmkafka.PublisherConfig{
			Brokers: c.brokers, Marshaler: watermillMarshaler(), OverwriteSaramaConfig: watermillConfig(),
		}, nil)
		if err != nil {
			return nil, nil, err
		}
		l.after(pub.Close)
		return c, watermillAppend(pub, newPool()), nil
	}
}

// watermillKafkaConsumer consumes with Watermill's adapter.
func watermillKafkaConsumer(open func(*lab) (*cluster, error)) consumerOpener {
	return func(_ context.Context, l *lab) (source, consumer, error) {
		c, err := open(l)
		if err != nil {
			return nil, nil, err
		}
		return c, func(ctx context.Context, topic, group string, n int64) (s sample, err error) {
			sub, err := watermillKafkaSubscriber(c, group)
			if err != nil {
				return s, err
			}
			defer func() { err = errors.Join(err, sub.Close()) }()
			messages, err := sub.Subscribe(ctx, topic)
			if err != nil {
				return s, err
			}
			return drained(ctx, messages, n, func() error { return c.acknowledged(ctx, topic, group) })
		}, nil
	}
}

// watermillKafkaSubscriber is Watermill's, a member of group.
func watermillKafkaSubscriber(c *cluster, group string) (*wmkafka.Subscriber, error) {
	cfg := wmkafka.DefaultSaramaSubscriberConfig()
	cfg.Version = sarama.V3_9_0_0
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	return wmkafka.NewSubscriber(wmkafka.SubscriberConfig{
		Brokers: c.brokers, Unmarshaler: watermillMarshaler(), OverwriteSaramaConfig: cfg, ConsumerGroup: group,
	}, nil)
}
