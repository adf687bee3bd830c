package main

import (
	"context"
	"time"

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

// watermillKafkaBatch publishes batches of n with Watermill's adapter.
func watermillKafkaBatch(open func(*lab) (*cluster, error), n int) func(context.Context, *lab) (turn, error) {
	return watermillKafka(open, func(ctx context.Context, dur time.Duration, publish publishFunc) (sample, error) {
		return inBatches(ctx, dur, n, func(done int64) error { return publish(done, n) })
	})
}

// watermillKafkaCallers publishes single messages with Watermill's adapter from many goroutines.
func watermillKafkaCallers(open func(*lab) (*cluster, error), callers int) func(context.Context, *lab) (turn, error) {
	return watermillKafka(open, func(ctx context.Context, dur time.Duration, publish publishFunc) (sample, error) {
		return fromCallers(ctx, dur, callers, func(done int64) error { return publish(done, 1) })
	})
}

// watermillKafkaLone publishes single messages with Watermill's adapter from one goroutine.
func watermillKafkaLone(open func(*lab) (*cluster, error)) func(context.Context, *lab) (turn, error) {
	return watermillKafka(open, func(ctx context.Context, dur time.Duration, publish publishFunc) (sample, error) {
		return alone(ctx, dur, 1, func(done int64) error { return publish(done, 1) })
	})
}

func watermillKafka(open func(*lab) (*cluster, error), loop publishLoop) func(context.Context, *lab) (turn, error) {
	return func(_ context.Context, l *lab) (turn, error) {
		c, err := open(l)
		if err != nil {
			return nil, err
		}
		pub, err := wmkafka.NewPublisher(wmkafka.PublisherConfig{
			Brokers: c.brokers, Marshaler: watermillMarshaler(), OverwriteSaramaConfig: watermillConfig(),
		}, nil)
		if err != nil {
			return nil, err
		}
		l.after(pub.Close)
		messages := newPool().messages
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			return c.appended(ctx, func(topic string) (sample, error) {
				return loop(ctx, dur, func(done int64, n int) error { return pub.Publish(topic, window(messages, done, n)...) })
			})
		}, nil
	}
}
