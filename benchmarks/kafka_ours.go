package main

import (
	"context"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/durable"
)

// openKafka opens the adapter with its defaults; it ends with the path.
func openKafka(ctx context.Context, l *lab, open func(*lab) (*cluster, error)) (*cluster, *kafka.Backend, error) {
	c, err := open(l)
	if err != nil {
		return nil, nil, err
	}
	b, err := kafka.Open(ctx, kafka.Config{Brokers: c.dial, TLS: c.tls})
	if err != nil {
		return nil, nil, err
	}
	l.after(func() error { return b.Close(context.Background()) })
	return c, b, nil
}

func oursKafka(open func(*lab) (*cluster, error)) appender {
	return func(ctx context.Context, l *lab) (store, appendFunc, error) {
		c, b, err := openKafka(ctx, l, open)
		if err != nil {
			return nil, nil, err
		}
		return c, oursAppend(b, newPool()), nil
	}
}

// oursKafkaConsumer processes keyed, sixteen keys side by side.
func oursKafkaConsumer(open func(*lab) (*cluster, error)) consumerOpener {
	return func(ctx context.Context, l *lab) (source, consumer, error) {
		c, b, err := openKafka(ctx, l, open)
		if err != nil {
			return nil, nil, err
		}
		return c, func(ctx context.Context, topic, group string, n int64) (sample, error) {
			return processed(ctx, b, durable.Group{Name: group, Topics: durable.Topics(topic)}, n)
		}, nil
	}
}
