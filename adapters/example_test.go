package adapters_test

import (
	"context"
	"fmt"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware/prometheus"
)

// The section metrics is an opener that the program adds, so that programs without it do not link Prometheus.
func ExampleAll_howDoIReadMetricsFromTheFile() {
	registry := prom.NewRegistry()
	openers := adapters.All()
	openers.Middleware["metrics"] = prometheus.Opener(prometheus.Options{Registerer: registry})

	ctx := context.Background()
	cfg, err := dual.Parse("example.yaml", []byte("durable: { backend: memory }\nretry: {}\nmetrics: {}\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	stack, err := dual.Open(ctx, cfg, openers)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = stack.Close(ctx) }()
	_, err = stack.Publisher.Publish(ctx, durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"})
	fmt.Println(err)
	families, err := registry.Gather()
	fmt.Println(len(families) > 0, err)
	// Output:
	// <nil>
	// true <nil>
}
