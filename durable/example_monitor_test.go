package durable_test

import (
	"context"
	"fmt"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// How does a program see what Process does?
func ExampleMonitor() {
	backend, err := orders("created", "created", "paid")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	handler := durable.HandleEvent(func(_ context.Context, e durable.Event) error {
		if e.Type == "paid" {
			stop()
		}
		return nil
	})
	var monitor durable.Monitor
	options := durable.ProcessOptions{
		Concurrency: 1,
		Monitor:     &monitor,
		OnAttempt: func(d durable.Delivery, _ time.Duration, err error) {
			fmt.Println("key", d.Key, "attempt", d.Attempt, err)
		},
	}
	group := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	if err := durable.Process(ctx, backend, group, handler, options); err != nil {
		fmt.Println(err)
		return
	}
	s := monitor.Stats().Topics["orders"]
	fmt.Println(s.Received, "received", s.Acked, "acked", s.InFlight, "in flight")
	// Output:
	// key 1 attempt 1 <nil>
	// key 2 attempt 1 <nil>
	// key 1 attempt 1 <nil>
	// 3 received 3 acked 0 in flight
}
