package main

import (
	"context"
	"errors"
	"time"
)

// A source is a broker to consume from.
type source interface {
	// fill makes a topic of n events that ends with the path.
	fill(ctx context.Context, n int64) (topic string, err error)
	// acknowledged is nil when group has acknowledged everything in topic.
	acknowledged(ctx context.Context, topic, group string) error
	// forget removes group.
	forget(ctx context.Context, topic, group string) error
}

// stock holds topics that the subjects of one path consume from, each in a group of its own.
type stock struct {
	topics map[int64]string // by number of events
}

// topic returns a topic of n events.
func (s *stock) topic(ctx context.Context, l *lab, from source, n int64) (string, error) {
	if name, ok := s.topics[n]; ok {
		return name, nil
	}
	name, err := from.fill(ctx, n)
	if err != nil {
		return "", err
	}
	if s.topics == nil {
		s.topics = make(map[int64]string)
	}
	s.topics[n] = name
	l.after(func() error { delete(s.topics, n); return nil })
	return name, nil
}

// consumerOpener opens a client to consume with.
type consumerOpener func(ctx context.Context, l *lab) (source, consumer, error)

// consuming is a subject that consumes what perSecond events a second for the time of a turn are.
func (s *stock) consuming(name string, perSecond float64, open consumerOpener) subject {
	return subject{name, func(ctx context.Context, l *lab) (turn, error) {
		from, consume, err := open(ctx, l)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			n := eventsFor(dur, perSecond)
			topic, err := s.topic(ctx, l, from, n)
			if err != nil {
				return sample{}, err
			}
			group := l.name("group")
			one, err := consume(ctx, topic, group, n)
			if err != nil {
				return one, err
			}
			return one, errors.Join(from.acknowledged(ctx, topic, group), from.forget(ctx, topic, group))
		}, nil
	}}
}
