package main

import (
	"context"
	"fmt"
	"time"

	wmredis "github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// appendSlice is a turn of an append to Redis.
const appendSlice = 200 * time.Millisecond

// redisPaths compare Redis Streams: append in batches and from many callers, consume in a group.
func redisPaths() []path {
	var entries, secure, plain stock
	appends := func(name string, least float64, loop publishLoop) path {
		return path{name: name, goal: goal{atLeast: least}, slice: appendSlice, subjects: []subject{
			appending(subjectRaw, rawRedis, loop),
			appending(subjectOurs, oursRedis, loop),
			appending(subjectWatermill, watermillRedis, loop),
		}}
	}
	return []path{
		appends("redis-append-100", 0.90, batches(100)),
		appends("redis-append-64callers", 1.5, callers(64)),
		{
			name: "redis-append-100-tls", goal: goal{atLeast: 0.90}, slice: appendSlice,
			subjects: []subject{
				appending(subjectRaw, rawRedisTLS, batches(100)),
				appending(subjectOurs, oursRedisTLS, batches(100)),
			},
		},
		{
			name: "redis-append-100-ordered", goal: goal{atLeast: 0.80}, slice: appendSlice,
			subjects: []subject{
				appending(subjectRaw, rawRedis, batches(100)),
				appending(subjectOurs, oursRedisOrdered, batches(100)),
			},
		},
		{
			name: "redis-consume", goal: goal{atLeast: 0.80},
			subjects: []subject{
				entries.consuming(subjectRaw, redisRate, rawRedisConsumer),
				entries.consuming(subjectOurs, redisRate, oursRedisConsumer),
				entries.consuming(subjectWatermill, redisRateWatermill, watermillRedisConsumer),
			},
		},
		{
			name: "redis-consume-tls", goal: goal{tls: 0.90},
			subjects: []subject{
				secure.consuming(subjectRaw, redisRate, rawRedisTLSConsumer),
				secure.consuming(subjectOurs, redisRate, oursRedisTLSConsumer),
				plain.consuming(subjectRawPlain, redisRate, rawRedisConsumer),
				plain.consuming(subjectOursPlain, redisRate, oursRedisConsumer),
			},
		},
	}
}

// Events a second for which streams to consume from are filled: about what the subjects consume.
const (
	redisRate          = 150_000
	redisRateWatermill = 8_000
)

// redisLab is what the subjects of one path share on a Redis.
type redisLab struct {
	*redis.Client
	l    *lab
	pool pool
}

func newRedisLab(l *lab) (*redisLab, error) {
	server, err := l.durableRedis()
	if err != nil {
		return nil, err
	}
	c := newRedisClient(server.Addr())
	l.after(c.Close)
	return &redisLab{Client: c, l: l, pool: newPool()}, nil
}

// newRedisClient returns a client with a connection for each of many callers. It does not ask for notices of
// maintenance, which the server does not send.
func newRedisClient(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, PoolSize: 80,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// appended implements store; it compares XLEN.
func (r *redisLab) appended(ctx context.Context, work func(stream string) (sample, error)) (sample, error) {
	stream := r.l.name("append")
	s, err := work(stream)
	if err != nil {
		return s, err
	}
	stored, err := r.XLen(ctx, stream).Result()
	if err != nil {
		return s, err
	}
	if stored != s.before+s.events {
		return s, fmt.Errorf("XLEN is %d after %d appended events", stored, s.before+s.events)
	}
	return s, r.Del(ctx, stream).Err()
}

// fill implements source.
func (r *redisLab) fill(ctx context.Context, n int64) (string, error) {
	entries, err := r.entries()
	if err != nil {
		return "", err
	}
	stream := r.l.name("consume")
	r.l.after(func() error { return r.Del(context.Background(), stream).Err() })
	const batch = 500
	for done := int64(0); done < n; done += batch {
		if err := r.pipelined(ctx, stream, window(entries, done, batch)); err != nil {
			return "", err
		}
	}
	return stream, nil
}

// acknowledged implements source: nothing is pending and nothing is left.
func (r *redisLab) acknowledged(ctx context.Context, stream, group string) error {
	groups, err := r.XInfoGroups(ctx, stream).Result()
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g.Name == group && (g.Pending != 0 || g.Lag != 0) {
			return fmt.Errorf("group %q has %d pending and a lag of %d after all events were acknowledged", group, g.Pending, g.Lag)
		}
		if g.Name == group {
			return nil
		}
	}
	return fmt.Errorf("group %q is not at %q", group, stream)
}

// forget implements source.
func (r *redisLab) forget(ctx context.Context, stream, group string) error {
	return r.XGroupDestroy(ctx, stream, group).Err()
}

// entries are the messages of the pool as Watermill's adapter lays them out, ready for XADD.
func (r *redisLab) entries() ([][]any, error) {
	out := make([][]any, len(r.pool.messages))
	for i, m := range r.pool.messages {
		values, err := wmredis.DefaultMarshallerUnmarshaller{}.Marshal("", m)
		if err != nil {
			return nil, err
		}
		for _, k := range []string{wmredis.UUIDHeaderKey, "metadata", "payload"} {
			out[i] = append(out[i], k, values[k])
		}
	}
	return out, nil
}
