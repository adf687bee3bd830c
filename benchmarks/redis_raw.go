package main

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// rawRedis appends with one pipeline of XADD a call, or a single XADD. The entries were encoded before.
func rawRedis(_ context.Context, l *lab) (store, appendFunc, error) {
	r, err := newRedisLab(l)
	if err != nil {
		return nil, nil, err
	}
	return r.rawAppends()
}

// rawAppends is rawRedis with the client of r.
func (r *redisLab) rawAppends() (store, appendFunc, error) {
	entries, err := r.entries()
	if err != nil {
		return nil, nil, err
	}
	return r, func(ctx context.Context, stream string, done int64, n int) error {
		if n == 1 {
			return r.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: window(entries, done, 1)[0]}).Err()
		}
		return r.pipelined(ctx, stream, window(entries, done, n))
	}, nil
}

// pipelined appends entries in one round trip.
func (r *redisLab) pipelined(ctx context.Context, stream string, entries [][]any) error {
	pipe := r.Pipeline()
	for _, e := range entries {
		pipe.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: e})
	}
	_, err := pipe.Exec(ctx)
	return err
}

// rawRedisConsumer reads 500 entries at a time and acknowledges them with one XACK, without decoding them.
func rawRedisConsumer(_ context.Context, l *lab) (source, consumer, error) {
	r, err := newRedisLab(l)
	if err != nil {
		return nil, nil, err
	}
	return r, r.rawConsume, nil
}

// rawConsume is rawRedisConsumer with the client of r.
func (r *redisLab) rawConsume(ctx context.Context, stream, group string, n int64) (sample, error) {
	if err := r.XGroupCreate(ctx, stream, group, "0").Err(); err != nil {
		return sample{}, err
	}
	ids := make([]string, 0, 500)
	return timed(func() (int64, error) {
		var done int64
		for done < n {
			acked, err := r.readAndAck(ctx, stream, group, ids)
			if err != nil {
				return done, err
			}
			done += acked
		}
		return done, nil
	})
}

func (r *redisLab) readAndAck(ctx context.Context, stream, group string, ids []string) (int64, error) {
	got, err := r.XReadGroup(ctx, &redis.XReadGroupArgs{
		Group: group, Consumer: "raw", Streams: []string{stream, ">"}, Count: 500, Block: time.Second,
	}).Result()
	if err != nil {
		return 0, err
	}
	ids = ids[:0]
	for _, m := range got[0].Messages {
		ids = append(ids, m.ID)
	}
	acked, err := r.XAck(ctx, stream, group, ids...).Result()
	if err == nil && acked != int64(len(ids)) {
		err = errors.New("XACK acknowledged less than was read")
	}
	return acked, err
}
