package main

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// slowMemory is the embedded backend, and Watermill's GoChannel.
func slowMemory(_ context.Context, l *lab) (slowPlace, error) {
	b, err := openMemory(l, 0)
	if err != nil {
		return slowPlace{}, err
	}
	return slowPlace{b.Backend, func(_ context.Context, topic string, msgs []*message.Message) (message.Subscriber, func() error, error) {
		ch := newGoChannel()
		return ch, func() error { return nil }, ch.Publish(topic, msgs...)
	}}, nil
}

func slowRedis(ctx context.Context, l *lab) (slowPlace, error) {
	r, b, err := openRedis(ctx, l)
	if err != nil {
		return slowPlace{}, err
	}
	return storedBy(b, func(group string) (message.Subscriber, error) { return watermillRedisSubscriber(r, group) }, r.acknowledged), nil
}

func slowKafka(ctx context.Context, l *lab) (slowPlace, error) {
	c, b, err := openKafka(ctx, l, (*lab).kafka)
	if err != nil {
		return slowPlace{}, err
	}
	lags := func(ctx context.Context, topic, group string) error { return lagging(ctx, b, group, topic) }
	return storedBy(b, func(group string) (message.Subscriber, error) { return watermillKafkaSubscriber(c, group) }, lags), nil
}

// storedBy is b with a peer that reads what b stored, in a group named like its topic.
func storedBy(
	b durable.Backend, subscriber func(group string) (message.Subscriber, error),
	acknowledged func(ctx context.Context, topic, group string) error,
) slowPlace {
	place := slowPlace{Backend: b}
	place.peer = func(ctx context.Context, topic string, msgs []*message.Message) (message.Subscriber, func() error, error) {
		if err := place.fill(ctx, topic, msgs); err != nil {
			return nil, nil, err
		}
		sub, err := subscriber(topic)
		return sub, func() error { return acknowledged(ctx, topic, topic) }, err
	}
	return place
}
