package main

import (
	"context"
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

// observedPaths measure what a policy adds to durable.Process with a handler that does nothing. policy-metrics: the
// metrics alone, on the embedded backend. policy-dedupe-redis: every event is new, reserved and remembered in a Redis
// of its own, while the group consumes from another.
func observedPaths() []path {
	var entries stock
	return []path{
		{name: "policy-metrics", goal: goal{extraNs: 300, extraAllocs: 1}, subjects: []subject{
			{"bare", oursMemoryConsumer}, {subjectOurs, withMetrics},
		}},
		{name: "policy-dedupe-redis", goal: goal{atLeast: 0.5}, subjects: []subject{
			entries.consuming("bare", redisRate, oursRedisConsumer),
			entries.consuming(subjectOurs, redisRate, withDedupe),
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

// withDedupe is oursRedisConsumer with Dedupe. The events of the pool come again and again: they are told apart by
// their positions, so that each is new.
func withDedupe(ctx context.Context, l *lab) (source, consumer, error) {
	r, b, err := openRedis(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	server, err := l.realtimeRedis()
	if err != nil {
		return nil, nil, err
	}
	store, err := redisdedupe.Open(ctx, redisdedupe.Config{Connection: redisdedupe.Connection{Addr: server.Addr()}})
	if err != nil {
		return nil, nil, err
	}
	l.after(func() error { return store.Close(context.Background()) })
	return r, func(ctx context.Context, topic, group string, n int64) (sample, error) {
		d := &middleware.Dedupe{Store: store, Logger: slog.New(slog.DiscardHandler), Key: func(msg *message.Message) string {
			at, _ := durable.DeliveryOf(msg.Context())
			return string(at.Position)
		}}
		g := durable.Group{Name: group, Topics: durable.Topics(topic), Ordering: durable.None}
		s, err := batched(ctx, b, g, n, d)
		if stats := d.Stats(); err == nil && stats.Handled != uint64(n) {
			err = fmt.Errorf("%d of %d events were remembered: %+v", stats.Handled, n, stats)
		}
		return s, err
	}, nil
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

// batched is processed in batches with d.
func batched(ctx context.Context, b durable.Backend, g durable.Group, n int64, d *middleware.Dedupe) (sample, error) {
	return untilPassed(ctx, n, func(ctx context.Context, pass *passing) error {
		h := d.Batch(func(_ context.Context, ds []durable.Delivery) []error {
			for range ds {
				pass.seen()
			}
			return nil
		})
		return durable.ProcessBatch(ctx, b, g, h, durable.BatchOptions{Size: dedupeBatch})
	})
}
