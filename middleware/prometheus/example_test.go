package prometheus_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/middleware/prometheus"
)

// How do I see how many events a group has handled?
func ExampleMetrics_howManyEventsHasAGroupHandled() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	registry := prom.NewRegistry()
	metrics, err := prometheus.New(prometheus.Options{Registerer: registry})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	store, err := memory.New(memory.Config{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	backend := metrics.Append(store) // counts what is published
	for _, id := range []string{"1", "2", "3"} {
		msg, _ := durable.Event{ID: id, Type: "order.created", SourceType: "order", SourceID: "42"}.Message("")
		if _, err := backend.Append(ctx, "orders", msg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
	}
	group, monitor := durable.Group{Name: "billing", Topics: durable.Topics("orders")}, new(durable.Monitor)
	handled := 0
	handler, err := middleware.Stack{Metrics: metrics.Consumer(backend, group, monitor)}.Handler(
		func(*message.Message) ([]*message.Message, error) {
			if handled++; handled == 3 {
				stop()
			}
			return nil, nil
		})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	if err := durable.Process(ctx, backend, group, handler, durable.ProcessOptions{Monitor: monitor}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	families, _ := registry.Gather()
	for _, f := range families {
		if name := f.GetName(); strings.HasSuffix(name, "acked_events_total") || strings.HasSuffix(name, "in_flight_events") {
			fmt.Println(name, f.GetMetric()[0].GetCounter().GetValue()+f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	// Output:
	// dualstream_acked_events_total 3
	// dualstream_in_flight_events 0
}
