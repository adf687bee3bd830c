package main

import (
	"context"
	"fmt"

	wmredis "github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// redisPaths compare Redis Streams: append in batches and from many callers, consume in a group.
func redisPaths() []path {
	stock := &redisStock{}
	return []path{
		{
			name: "redis-append-100", goal: goal{atLeast: 0.90},
			subjects: []subject{
				{subjectRaw, rawPipeline(100)},
				{subjectWatermill, watermillRedisAppend(100)},
			},
		},
		{
			name: "redis-append-64callers", goal: goal{atLeast: 1.5},
			subjects: []subject{
				{subjectRaw, rawXAddCallers(64)},
				{subjectWatermill, watermillRedisCallers(64)},
			},
		},
		{
			name: "redis-consume", goal: goal{atLeast: 0.80},
			subjects: []subject{
				{subjectRaw, stock.subject(redisConsumeRate, rawReadGroup)},
				{subjectWatermill, stock.subject(redisConsumeRateWatermill, watermillSubscribe)},
			},
		},
	}
}

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

// appended gives work a new stream, and afterwards checks its length and deletes it.
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
	if stored != s.events {
		return s, fmt.Errorf("XLEN is %d after %d appended events", stored, s.events)
	}
	return s, r.Del(ctx, stream).Err()
}

// consumed checks that group has nothing pending and nothing left in stream, and removes it.
func (r *redisLab) consumed(ctx context.Context, stream, group string) error {
	groups, err := r.XInfoGroups(ctx, stream).Result()
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g.Name != group {
			continue
		}
		if g.Pending != 0 || g.Lag != 0 {
			return fmt.Errorf("group %q has %d pending and a lag of %d after all events were acknowledged", group, g.Pending, g.Lag)
		}
		return r.XGroupDestroy(ctx, stream, group).Err()
	}
	return fmt.Errorf("group %q is not at %q", group, stream)
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
