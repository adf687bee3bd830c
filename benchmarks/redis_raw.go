package main

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// rawPipeline appends with one pipeline of n XADD a batch, one batch after the other. The entries were encoded
// before.
func rawPipeline(n int) func(context.Context, *lab) (turn, error) {
	return func(_ context.Context, l *lab) (turn, error) {
		r, err := newRedisLab(l)
		if err != nil {
			return nil, err
		}
		entries, err := r.entries()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			return r.appended(ctx, func(stream string) (sample, error) {
				return inBatches(ctx, dur, n, func(done int64) error {
					return r.pipelined(ctx, stream, window(entries, done, n))
				})
			})
		}, nil
	}
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

// rawXAddCallers appends with a single XADD a call.
func rawXAddCallers(callers int) func(context.Context, *lab) (turn, error) {
	return func(_ context.Context, l *lab) (turn, error) {
		r, err := newRedisLab(l)
		if err != nil {
			return nil, err
		}
		entries, err := r.entries()
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			return r.appended(ctx, func(stream string) (sample, error) {
				return fromCallers(ctx, dur, callers, func(done int64) error {
					return r.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: window(entries, done, 1)[0]}).Err()
				})
			})
		}, nil
	}
}

// rawReadGroup reads 500 entries at a time and acknowledges them with one XACK, without decoding them.
func rawReadGroup(ctx context.Context, r *redisLab, stream, group string, n int64) (sample, error) {
	if err := r.XGroupCreate(ctx, stream, group, "0").Err(); err != nil {
		return sample{}, err
	}
	ids := make([]string, 0, 500)
	return timed(func() (int64, error) {
		var done int64
		for done < n {
			got, err := r.XReadGroup(ctx, &redis.XReadGroupArgs{
				Group: group, Consumer: "raw", Streams: []string{stream, ">"}, Count: 500, Block: time.Second,
			}).Result()
			if err != nil {
				return done, err
			}
			ids = ids[:0]
			for _, m := range got[0].Messages {
				ids = append(ids, m.ID)
			}
			acked, err := r.XAck(ctx, stream, group, ids...).Result()
			if err != nil {
				return done, err
			}
			if acked != int64(len(ids)) {
				return done, errors.New("XACK acknowledged less than was read")
			}
			done += acked
		}
		return done, nil
	})
}
