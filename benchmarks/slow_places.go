package main

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"
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
	place := slowPlace{Backend: b}
	place.peer = func(ctx context.Context, topic string, msgs []*message.Message) (message.Subscriber, func() error, error) {
		if err := place.fill(ctx, topic, msgs); err != nil {
			return nil, nil, err
		}
		sub, err := watermillRedisSubscriber(r, topic)
		return sub, func() error { return r.acknowledged(ctx, topic, topic) }, err
	}
	return place, nil
}

func slowKafka(ctx context.Context, l *lab) (slowPlace, error) {
	c, b, err := openKafka(ctx, l, (*lab).kafka)
	if err != nil {
		return slowPlace{}, err
	}
	place := slowPlace{Backend: b}
	place.peer = func(ctx context.Context, topic string, msgs []*message.Message) (message.Subscriber, func() error, error) {
		if err := place.fill(ctx, topic, msgs); err != nil {
			return nil, nil, err
		}
		sub, err := watermillKafkaSubscriber(c, topic)
		return sub, func() error { return lagging(ctx, b, topic, topic) }, err
	}
	return place, nil
}
