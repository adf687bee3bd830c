package main

import (
	"context"

	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
)

// openRedis opens the adapter with its defaults; it ends with the path.
func openRedis(ctx context.Context, l *lab) (*redisLab, *redisstream.Backend, error) {
	return openRedisAs(ctx, l, redisstream.Config{})
}

func openRedisAs(ctx context.Context, l *lab, cfg redisstream.Config) (*redisLab, *redisstream.Backend, error) {
	r, err := newRedisLab(l)
	if err != nil {
		return nil, nil, err
	}
	cfg.Connection = redisstream.Connection{Addr: r.Options().Addr}
	b, err := redisstream.Open(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	l.after(func() error { return b.Close(context.Background()) })
	return r, b, nil
}

func oursRedis(ctx context.Context, l *lab) (store, appendFunc, error) {
	r, b, err := openRedis(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	return r, oursAppend(b, r.pool), nil
}

// oursRedisOrdered appends with one script a stream, which stops at the first refusal.
func oursRedisOrdered(ctx context.Context, l *lab) (store, appendFunc, error) {
	r, b, err := openRedisAs(ctx, l, redisstream.Config{OrderedAppend: true})
	if err != nil {
		return nil, nil, err
	}
	return r, oursAppend(b, r.pool), nil
}

// oursRedisConsumer processes with Ordering None, which is what the raw subject does: a group of competing members.
func oursRedisConsumer(ctx context.Context, l *lab) (source, consumer, error) {
	r, b, err := openRedis(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	return r, competing(b), nil
}

func competing(b durable.Backend) consumer {
	return func(ctx context.Context, topic, group string, n int64) (sample, error) {
		return processed(ctx, b, durable.Group{Name: group, Topics: durable.Topics(topic), Ordering: durable.None}, n)
	}
}
