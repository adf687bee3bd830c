package main

import (
	"context"

	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
)

// openRedis opens the adapter with its defaults; it ends with the path.
func openRedis(ctx context.Context, l *lab) (*redisLab, *redisstream.Backend, error) {
	r, err := newRedisLab(l)
	if err != nil {
		return nil, nil, err
	}
	b, err := redisstream.Open(ctx, redisstream.Config{Connection: redisstream.Connection{Addr: r.Options().Addr}})
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

// oursRedisConsumer processes with Ordering None, which is what the raw subject does: a group of competing members.
func oursRedisConsumer(ctx context.Context, l *lab) (source, consumer, error) {
	r, b, err := openRedis(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	return r, func(ctx context.Context, topic, group string, n int64) (sample, error) {
		return processed(ctx, b, durable.Group{Name: group, Topics: durable.Topics(topic), Ordering: durable.None}, n)
	}, nil
}
