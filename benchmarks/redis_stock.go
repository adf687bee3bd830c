package main

import (
	"context"
	"time"
)

// Events a second for which streams to consume from are filled: about what the subjects consume.
const (
	redisConsumeRate          = 150_000
	redisConsumeRateWatermill = 8_000
)

// redisStock holds streams that the subjects of one path consume from, each with a group of its own.
type redisStock struct {
	streams map[int64]string // by number of events
}

// stream returns a stream of n events.
func (s *redisStock) stream(ctx context.Context, r *redisLab, n int64) (string, error) {
	if name, ok := s.streams[n]; ok {
		return name, nil
	}
	entries, err := r.entries()
	if err != nil {
		return "", err
	}
	name := r.l.name("consume")
	r.l.after(func() error {
		delete(s.streams, n)
		return r.Del(context.Background(), name).Err()
	})
	const batch = 500
	for done := int64(0); done < n; done += batch {
		if err := r.pipelined(ctx, name, window(entries, done, batch)); err != nil {
			return "", err
		}
	}
	if s.streams == nil {
		s.streams = make(map[int64]string)
	}
	s.streams[n] = name
	return name, nil
}

// consumer consumes n events of stream in group, acknowledges each and returns when they are acknowledged.
type consumer func(ctx context.Context, r *redisLab, stream, group string, n int64) (sample, error)

// subject consumes what perSecond events a second for the time of a turn are, and checks the group.
func (s *redisStock) subject(perSecond float64, consume consumer) func(context.Context, *lab) (turn, error) {
	return func(_ context.Context, l *lab) (turn, error) {
		r, err := newRedisLab(l)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			n := eventsFor(dur, perSecond)
			stream, err := s.stream(ctx, r, n)
			if err != nil {
				return sample{}, err
			}
			group := l.name("group")
			one, err := consume(ctx, r, stream, group, n)
			if err != nil {
				return one, err
			}
			return one, r.consumed(ctx, stream, group)
		}, nil
	}
}
