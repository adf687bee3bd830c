package main

import (
	"context"
	"errors"

	"github.com/dualstream/dualstream/durable"
)

// facadePaths compare Watermill's interfaces on the engine with what stands behind them: a Subscriber with Process, a
// Publisher of 100 messages a call with Append and with Watermill's own adapter, and 64 callers of one message each with
// raw SendMessage.
func facadePaths(open func(*lab) (*cluster, error)) []path {
	var records stock
	return []path{
		{name: "subscriber-kafka", goal: goal{atLeast: 0.8}, subjects: []subject{
			records.consuming("durable.Process", kafkaRate, oursKafkaConsumer(open)),
			records.consuming(subjectOurs, kafkaRate, subscribedKafka(open)),
		}},
		{name: "publisher-kafka-100", goal: goal{atLeast: 0.9, times: 20}, subjects: []subject{
			appending("Append", oursKafka(open), batches(100)),
			appending(subjectOurs, publisherKafka(open), batches(100)),
			appending(subjectWatermill, watermillKafka(open), batches(100)),
		}},
		{name: "publisher-redis-100", goal: goal{atLeast: 0.9}, slice: appendSlice, subjects: []subject{
			appending("Append", oursRedis, batches(100)),
			appending(subjectOurs, publisherRedis, batches(100)),
			appending(subjectWatermill, watermillRedis, batches(100)),
		}},
		{name: "publisher-kafka-64callers", goal: goal{atLeast: 1.0}, subjects: []subject{
			appending(subjectRaw, rawKafka(open, flush{}), callers(64)),
			appending(subjectOurs, publisherKafka(open), callers(64)),
		}},
	}
}

// publisherKafka appends by a durable.Publisher as Watermill's programs do.
func publisherKafka(open func(*lab) (*cluster, error)) appender {
	return func(ctx context.Context, l *lab) (store, appendFunc, error) {
		c, b, err := openKafka(ctx, l, open)
		if err != nil {
			return nil, nil, err
		}
		add, err := publisher(b, l, newPool())
		return c, add, err
	}
}

// publisherRedis is publisherKafka on Redis.
func publisherRedis(ctx context.Context, l *lab) (store, appendFunc, error) {
	r, b, err := openRedis(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	add, err := publisher(b, l, r.pool)
	return r, add, err
}

func publisher(b durable.Backend, l *lab, p pool) (appendFunc, error) {
	pub, err := durable.NewPublisher(b, durable.PublisherOptions{})
	if err != nil {
		return nil, err
	}
	l.after(pub.Close)
	return watermillAppend(pub, p), nil
}

// subscribedKafka consumes as oursKafkaConsumer does, through a durable.Subscriber with one receiver.
func subscribedKafka(open func(*lab) (*cluster, error)) consumerOpener {
	return func(ctx context.Context, l *lab) (source, consumer, error) {
		c, b, err := openKafka(ctx, l, open)
		if err != nil {
			return nil, nil, err
		}
		return c, func(ctx context.Context, topic, group string, n int64) (s sample, err error) {
			sub, err := durable.NewSubscriber(b, durable.Group{Name: group}, durable.ProcessOptions{})
			if err != nil {
				return s, err
			}
			defer func() { err = errors.Join(err, sub.Close()) }()
			messages, err := sub.Subscribe(ctx, topic)
			if err != nil {
				return s, err
			}
			return drained(ctx, messages, n, func() error { return nil })
		}, nil
	}
}
