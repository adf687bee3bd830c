package main

import (
	"context"
	"errors"
	"time"

	wmredis "github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
)

// watermillRedisAppend publishes batches of n with Watermill's adapter.
func watermillRedisAppend(n int) func(context.Context, *lab) (turn, error) {
	return watermillRedis(func(ctx context.Context, dur time.Duration, publish publishFunc) (sample, error) {
		return inBatches(ctx, dur, n, func(done int64) error { return publish(done, n) })
	})
}

// watermillRedisCallers publishes single messages with Watermill's adapter from many goroutines.
func watermillRedisCallers(callers int) func(context.Context, *lab) (turn, error) {
	return watermillRedis(func(ctx context.Context, dur time.Duration, publish publishFunc) (sample, error) {
		return fromCallers(ctx, dur, callers, func(done int64) error { return publish(done, 1) })
	})
}

// publishFunc publishes the n messages after the first done.
type publishFunc func(done int64, n int) error

// publishLoop publishes for about dur.
type publishLoop func(ctx context.Context, dur time.Duration, publish publishFunc) (sample, error)

func watermillRedis(loop publishLoop) func(context.Context, *lab) (turn, error) {
	return func(_ context.Context, l *lab) (turn, error) {
		r, err := newRedisLab(l)
		if err != nil {
			return nil, err
		}
		pub, err := wmredis.NewPublisher(wmredis.PublisherConfig{Client: r.Client}, nil)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			return r.appended(ctx, func(stream string) (sample, error) {
				return loop(ctx, dur, func(done int64, n int) error {
					return pub.Publish(stream, window(r.pool.messages, done, n)...)
				})
			})
		}, nil
	}
}

// watermillSubscribe consumes with Watermill's adapter, which reads and acknowledges one entry at a time.
func watermillSubscribe(ctx context.Context, r *redisLab, stream, group string, n int64) (s sample, err error) {
	sub, err := wmredis.NewSubscriber(wmredis.SubscriberConfig{
		Client:        newRedisClient(r.Options().Addr), // closes with the subscriber
		ConsumerGroup: group, Consumer: "watermill", DisableIndefiniteInitialBlock: true,
	}, nil)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, sub.Close()) }()
	messages, err := sub.Subscribe(ctx, stream)
	if err != nil {
		return s, err
	}
	pass := newPassing(n)
	for range n {
		m, ok := <-messages
		if !ok {
			return s, errors.New("the subscription ended early")
		}
		m.Ack()
		pass.seen()
	}
	return pass.wait(ctx)
}
