package main

import (
	"context"
	"errors"

	wmredis "github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
)

// watermillRedis publishes with Watermill's adapter, which sends one XADD a message.
func watermillRedis(_ context.Context, l *lab) (store, appendFunc, error) {
	r, err := newRedisLab(l)
	if err != nil {
		return nil, nil, err
	}
	pub, err := wmredis.NewPublisher(wmredis.PublisherConfig{Client: r.Client}, nil)
	if err != nil {
		return nil, nil, err
	}
	return r, watermillAppend(pub, r.pool), nil
}

// watermillRedisConsumer consumes with Watermill's adapter, which reads and acknowledges one entry at a time.
func watermillRedisConsumer(_ context.Context, l *lab) (source, consumer, error) {
	r, err := newRedisLab(l)
	if err != nil {
		return nil, nil, err
	}
	return r, func(ctx context.Context, stream, group string, n int64) (s sample, err error) {
		sub, err := watermillRedisSubscriber(r, group)
		if err != nil {
			return s, err
		}
		defer func() { err = errors.Join(err, sub.Close()) }()
		messages, err := sub.Subscribe(ctx, stream)
		if err != nil {
			return s, err
		}
		return drained(ctx, messages, n, func() error { return r.acknowledged(ctx, stream, group) })
	}, nil
}

// watermillRedisSubscriber is Watermill's, a member of group.
func watermillRedisSubscriber(r *redisLab, group string) (*wmredis.Subscriber, error) {
	return wmredis.NewSubscriber(wmredis.SubscriberConfig{
		Client:        newRedisClient(r.Options().Addr), // closes with the subscriber
		ConsumerGroup: group, Consumer: "watermill", DisableIndefiniteInitialBlock: true,
	}, nil)
}
