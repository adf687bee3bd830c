package main

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// A store is a broker under test.
type store interface {
	// appended gives work a new topic. Afterwards it counts what the broker has stored in the topic, which must be
	// what work says, and deletes it.
	appended(ctx context.Context, work func(topic string) (sample, error)) (sample, error)
}

// appendFunc stores n prepared events, those after the first done, and returns when they are acknowledged.
type appendFunc func(ctx context.Context, topic string, done int64, n int) error

// An appender opens a client to append with.
type appender func(ctx context.Context, l *lab) (store, appendFunc, error)

// publishLoop calls publish with how many events are done and how many to do, for about dur.
type publishLoop func(ctx context.Context, dur time.Duration, publish func(done int64, n int) error) (sample, error)

// appending is a subject that appends what loop asks for.
func appending(name string, open appender, loop publishLoop) subject {
	return subject{name, func(ctx context.Context, l *lab) (turn, error) {
		s, add, err := open(ctx, l)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			return s.appended(ctx, func(topic string) (sample, error) {
				return loop(ctx, dur, func(done int64, n int) error { return add(ctx, topic, done, n) })
			})
		}, nil
	}}
}

// batches are n events a call, one call after the other.
func batches(n int) publishLoop {
	return func(ctx context.Context, dur time.Duration, publish func(int64, int) error) (sample, error) {
		return inBatches(ctx, dur, n, func(done int64) error { return publish(done, n) })
	}
}

// steadyBatches are batches after a lead of a third of the turn.
func steadyBatches(n int) publishLoop {
	return func(ctx context.Context, dur time.Duration, publish func(int64, int) error) (sample, error) {
		return afterLead(ctx, dur, n, func(done int64) error { return publish(done, n) })
	}
}

// timedBatches are batches with the latency of every call.
func timedBatches(n int) publishLoop {
	return func(ctx context.Context, dur time.Duration, publish func(int64, int) error) (sample, error) {
		return alone(ctx, dur, n, func(done int64) error { return publish(done, n) })
	}
}

// callers are many goroutines with one event a call.
func callers(n int) publishLoop {
	return func(ctx context.Context, dur time.Duration, publish func(int64, int) error) (sample, error) {
		return fromCallers(ctx, dur, n, func(done int64) error { return publish(done, 1) })
	}
}

// oursAppend appends with b.
func oursAppend(b durable.Backend, p pool) appendFunc {
	return func(ctx context.Context, topic string, done int64, n int) error {
		_, err := b.Append(ctx, topic, window(p.messages, done, n)...)
		return err
	}
}

// watermillAppend publishes with pub.
func watermillAppend(pub message.Publisher, p pool) appendFunc {
	return func(_ context.Context, topic string, done int64, n int) error {
		return pub.Publish(topic, window(p.messages, done, n)...)
	}
}
