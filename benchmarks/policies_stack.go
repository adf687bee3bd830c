package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	peermetrics "github.com/ThreeDotsLabs/watermill/components/metrics"
	"github.com/ThreeDotsLabs/watermill/message"
	peers "github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/middleware/prometheus"
)

// stackPaths measure what the whole stack (metrics, poison, retry, dedupe, timeout, recover) adds to durable.Process
// with a handler that does nothing, on the embedded backend, where every event succeeds. Beside it Watermill's router
// with its metrics, PoisonQueue, Retry and Recoverer on a GoChannel, which has neither dedupe nor a timeout.
func stackPaths() []path {
	return []path{{name: "policy-stack", goal: goal{extraNs: 2000, extraAllocs: 6}, subjects: []subject{
		{"bare", oursMemoryConsumer}, {subjectOurs, withStack}, {subjectWatermill, watermillStack},
	}}}
}

// withStack is oursMemoryConsumer with everything. The events of the pool come again and again: dedupe tells them apart
// by their positions, so that each is new.
func withStack(_ context.Context, l *lab) (turn, error) {
	metrics, err := prometheus.New(prometheus.Options{Registerer: prom.NewRegistry()})
	if err != nil {
		return nil, err
	}
	return memoryConsumer(l, func(ctx context.Context, b durable.Backend, g durable.Group, n int64) (sample, error) {
		logger := slog.New(slog.DiscardHandler)
		monitor := new(durable.Monitor)
		chain, err := middleware.Stack{
			Metrics: metrics.Consumer(b, g, monitor),
			Poison:  &middleware.Poison{Backend: b, Logger: logger},
			Retry:   &middleware.Retry{},
			Dedupe: &middleware.Dedupe{Logger: logger, Key: func(msg *message.Message) string {
				at, _ := durable.DeliveryOf(msg.Context())
				return string(at.Position)
			}},
			Timeout: &middleware.Timeout{},
		}.Chain()
		if err != nil {
			return sample{}, err
		}
		return policed(ctx, b, g, n, chain, durable.ProcessOptions{Monitor: monitor})
	})
}

// watermillStack fills a GoChannel and has a router consume it.
func watermillStack(_ context.Context, l *lab) (turn, error) {
	p := newPool()
	return func(ctx context.Context, dur time.Duration) (sample, error) {
		n, ch := eventsFor(dur, embeddedRateWatermill/4), newGoChannel()
		for done := int64(0); done < n; done += 1000 {
			if err := ch.Publish("consume", window(p.messages, done, 1000)...); err != nil {
				return sample{}, errors.Join(err, ch.Close())
			}
		}
		s, err := routed(ctx, ch, n)
		return s, errors.Join(err, ch.Close())
	}, nil
}

// routed is a router with Watermill's policies until n messages were handled.
func routed(ctx context.Context, ch *gochannel.GoChannel, n int64) (sample, error) {
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return sample{}, err
	}
	poison, err := peers.PoisonQueue(ch, "poison")
	if err != nil {
		return sample{}, err
	}
	peermetrics.NewPrometheusMetricsBuilder(prom.NewRegistry(), "", "").AddPrometheusRouterMetrics(router)
	pass := newPassing(n)
	router.AddMiddleware(poison, peers.Retry{MaxRetries: 4, InitialInterval: 100 * time.Millisecond}.Middleware, peers.Recoverer)
	router.AddConsumerHandler("handler", "consume", ch, func(*message.Message) error { pass.seen(); return nil })
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx) }()
	select {
	case <-pass.full:
	case <-ctx.Done():
	}
	err = errors.Join(ctx.Err(), router.Close(), <-ended)
	if err != nil {
		return sample{}, err
	}
	return pass.sample(), nil
}
