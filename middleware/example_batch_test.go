package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func ExampleStack_Batch_howDoIHandleManyEventsAtOnce() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	store, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range []string{"1", "2", "3"} {
		msg, _ := durable.Event{ID: id, Type: "order.created", SourceType: "order", SourceID: "order-" + id}.Message("")
		if _, err := store.Append(ctx, "orders", msg); err != nil {
			fmt.Println(err)
			return
		}
	}
	quiet := slog.New(slog.DiscardHandler)
	poison := &middleware.Poison{Backend: store, Logger: quiet, OnPoison: func(e middleware.PoisonEvent) {
		fmt.Println("poisoned:", e.Message.UUID, e.Failure.Err)
		stop()
	}}
	handler, err := middleware.Stack{Poison: poison, Retry: &middleware.Retry{}, Dedupe: &middleware.Dedupe{}}.Batch(
		func(_ context.Context, ds []durable.Delivery) []error { // such as one INSERT of many rows
			errs := make([]error, len(ds))
			for i, d := range ds {
				if d.Message.UUID == "2" {
					errs[i] = middleware.Permanent(errors.New("no such customer"))
				}
			}
			fmt.Println("stored", len(ds), "rows")
			return errs
		})
	if err != nil {
		fmt.Println(err)
		return
	}
	group := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	o := durable.BatchOptions{ProcessOptions: durable.ProcessOptions{Logger: quiet}, Size: 3}
	if err := durable.ProcessBatch(ctx, store, group, handler, o); err != nil {
		fmt.Println(err)
	}
	// Output:
	// stored 3 rows
	// poisoned: 2 no such customer
}
