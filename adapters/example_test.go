package adapters_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware/prometheus"
)

// Metrics are an opener of the program's own, so that programs without them do not link Prometheus.
func ExampleAll_howDoIReadMetricsFromTheFile() {
	type settings struct {
		WatermillNames bool `yaml:"watermill_names"`
	}
	registry := prom.NewRegistry()
	openers := adapters.All()
	openers.Middleware["metrics"] = dual.MiddlewareOf(adapters.PlaceMetrics, settings{},
		func(_ context.Context, _ settings, deps dual.MiddlewareDeps) (dual.Middleware, error) {
			metrics, err := prometheus.New(prometheus.Options{Registerer: registry})
			if err != nil {
				return dual.Middleware{}, err
			}
			return dual.Middleware{
				Append: metrics.Append,
				Handler: func(group string) message.HandlerMiddleware {
					return metrics.Consumer(deps.Durable, durable.Group{Name: group}, nil).Middleware
				},
			}, nil
		})

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
