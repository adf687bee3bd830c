package prometheus_test

import (
	"context"
	"fmt"
	"os"

	"github.com/ThreeDotsLabs/watermill/message"
	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/middleware/prometheus"
)

// total is the sum of the counters, and of the observations of the histograms, with that name.
func total(registry *prom.Registry, name string) float64 {
	families, err := registry.Gather()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

// How do I measure the handlers of a plain Watermill router?
func ExampleConsumer_howDoIMeasureAHandlerOfARouter() {
	registry := prom.NewRegistry()
	metrics, err := prometheus.New(prometheus.Options{Registerer: registry})
	if err != nil {
		fmt.Println(err)
		return
	}
	consumer := metrics.Consumer(nil, durable.Group{Name: "billing"}, nil)
	retry := middleware.Retry{MaxAttempts: 2, OnRetry: consumer.OnRetry}
	attempts := 0
	handler := retry.Middleware(consumer.Middleware(func(*message.Message) ([]*message.Message, error) {
		if attempts++; attempts == 1 {
			return nil, fmt.Errorf("connection refused")
		}
		return nil, nil
	}))
	_, err = handler(message.NewMessage("1", nil))
	fmt.Println(total(registry, "dualstream_handler_duration_seconds"), "attempts,",
		total(registry, "dualstream_retries_total"), "retry,", err)
	// Output: 2 attempts, 1 retry, <nil>
}

// How does a file turn the metrics on?
func ExampleOpener_howDoesAFileTurnMetricsOn() {
	ctx, registry := context.Background(), prom.NewRegistry()
	openers := adapters.All()
	openers.Middleware["metrics"] = prometheus.Opener(prometheus.Options{Registerer: registry})
	cfg, err := dual.Parse("shop.yaml", []byte(`
durable: { backend: memory }
publish: { topic: orders }
metrics: { max_topics: 50 }
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	stack, err := dual.Open(ctx, cfg, openers)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = stack.Publisher.Publish(ctx, durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"})
	fmt.Println(total(registry, "dualstream_published_events_total"), "published,", err)
	fmt.Println(stack.Close(ctx))
	// Output:
	// 1 published, <nil>
	// <nil>
}

// How do I have metrics of my own share the buckets, so that panels can be laid over each other?
func ExampleBuckets_howDoIMeasureInTheSameBuckets() {
	buckets := prometheus.Buckets()
	charges := prom.NewHistogram(prom.HistogramOpts{Name: "charge_duration_seconds", Buckets: buckets})
	charges.Observe(0.003)
	fmt.Println(len(buckets), "buckets from", buckets[0], "s to", buckets[len(buckets)-1], "s")
	// Output: 17 buckets from 5e-05 s to 10 s
}
