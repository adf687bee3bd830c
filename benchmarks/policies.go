package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill/message"
	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/adapters/redisdedupe"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/middleware/prometheus"
)

// dedupeBatch is how many events are reserved and remembered with one call of the store.
const dedupeBatch = 100

// observedPaths measure what a policy adds with a handler that does nothing. policy-metrics: the metrics alone, on the
// embedded backend. policy-dedupe-redis: every event is new, reserved and remembered in a Redis of its own, while the
// group consumes from another; both subjects handle batches of 100. policy-dedupe-redis-1: the same event by event,
// where the calls of handlers that run side by side share pipelines; both subjects run 64 of them.
func observedPaths() []path {
	var batches, singles stock
	return []path{
		{name: "policy-metrics", goal: goal{extraNs: 300, extraAllocs: 1}, subjects: []subject{
			{"bare", oursMemoryConsumer}, {subjectOurs, withMetrics},
		}},
		{name: "policy-dedupe-redis", goal: goal{atLeast: 0.5}, subjects: []subject{
			batches.consuming("bare", redisRate, inBatchesWith(nil)),
			batches.consuming(subjectOurs, redisRate, withDedupe(inBatchesWith)),
		}},
		{name: "policy-dedupe-redis-1", subjects: []subject{
			singles.consuming("bare", redisRate, oneByOneWith(nil)),
			singles.consuming(subjectOurs, redisRate, withDedupe(oneByOneWith)),
		}},
	}
}

// withMetrics is oursMemoryConsumer with the metrics of the consumer and its Monitor.
func withMetrics(_ context.Context, l *lab) (turn, error) {
	metrics, err := prometheus.New(prometheus.Options{Registerer: prom.NewRegistry()})
	if err != nil {
		return nil, err
	}
	return memoryConsumer(l, func(ctx context.Context, b durable.Backend, g durable.Group, n int64) (sample, error) {
		monitor := new(durable.Monitor)
		return policed(ctx, b, g, n, metrics.Consumer(b, g, monitor), durable.ProcessOptions{Monitor: monitor})
	})
}

// withDedupe opens a consumer with a Dedupe. The events of the pool come again and again: they are told apart by their
// positions, so that each is new.
func withDedupe(open func(*redisdedupe.Store) consumerOpener) consumerOpener {
	return func(ctx context.Context, l *lab) (source, consumer, error) {
		server, err := l.realtimeRedis()
		if err != nil {
			return nil, nil, err
		}
		store, err := redisdedupe.Open(ctx, redisdedupe.Config{Connection: redisdedupe.Connection{Addr: server.Addr()}})
		if err != nil {
			return nil, nil, err
		}
		l.after(func() error { return store.Close(context.Background()) })
		return open(store)(ctx, l)
	}
}

func newDedupe(store *redisdedupe.Store) *middleware.Dedupe {
	return &middleware.Dedupe{Store: store, Logger: slog.New(slog.DiscardHandler), Key: func(msg *message.Message) string {
		at, _ := durable.DeliveryOf(msg.Context())
		return string(at.Position)
	}}
}

// remembered is an error unless d has handled n events.
func remembered(d *middleware.Dedupe, n int64) error {
	if stats := d.Stats(); stats.Handled != uint64(n) {
		return fmt.Errorf("%d of %d events were remembered: %+v", stats.Handled, n, stats)
	}
	return nil
}

// inBatchesWith processes batches with Ordering None, as oursRedisConsumer does single events; store nil: without Dedupe.
func inBatchesWith(store *redisdedupe.Store) consumerOpener {
	return func(ctx context.Context, l *lab) (source, consumer, error) {
		r, b, err := openRedis(ctx, l)
		return r, func(ctx context.Context, topic, group string, n int64) (sample, error) {
			g := durable.Group{Name: group, Topics: durable.Topics(topic), Ordering: durable.None}
			if store == nil {
				return batched(ctx, b, g, n, nil)
			}
			d := newDedupe(store)
			s, err := batched(ctx, b, g, n, d)
			return s, errors.Join(err, remembered(d, n))
		}, err
	}
}

// oneByOneWith is inBatchesWith for single events, 64 at a time.
func oneByOneWith(store *redisdedupe.Store) consumerOpener {
	return func(ctx context.Context, l *lab) (source, consumer, error) {
		r, b, err := openRedis(ctx, l)
		return r, func(ctx context.Context, topic, group string, n int64) (sample, error) {
			g := durable.Group{Name: group, Topics: durable.Topics(topic), Ordering: durable.None}
			options := durable.ProcessOptions{Concurrency: 64}
			if store == nil {
				return policed(ctx, b, g, n, middleware.Wrap(func(h message.HandlerFunc) message.HandlerFunc { return h }), options)
			}
			d := newDedupe(store)
			s, err := policed(ctx, b, g, n, d, options)
			return s, errors.Join(err, remembered(d, n))
		}, err
	}
}

// policed is processed with a policy.
func policed(ctx context.Context, b durable.Backend, g durable.Group, n int64, p middleware.Policy, o durable.ProcessOptions) (sample, error) {
	h := p.Middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil })
	return untilPassed(ctx, n, func(ctx context.Context, pass *passing) error {
		return durable.Process(ctx, b, g, func(msg *message.Message) error {
			_, err := h(msg)
			pass.seen()
			return err
		}, o)
	})
}

// batched is processed in batches, with d where there is one.
func batched(ctx context.Context, b durable.Backend, g durable.Group, n int64, d *middleware.Dedupe) (sample, error) {
	return untilPassed(ctx, n, func(ctx context.Context, pass *passing) error {
		h := func(_ context.Context, ds []durable.Delivery) []error {
			for range ds {
				pass.seen()
			}
			return nil
		}
		if d != nil {
			h = d.Batch(h)
		}
		return durable.ProcessBatch(ctx, b, g, h, durable.BatchOptions{Size: dedupeBatch})
	})
}
