package durable_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

// orders is a memory backend with events of these types for the sources 1, 2, 1, 2 and so on.
func orders(types ...string) (durable.Backend, error) {
	backend, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		return nil, err
	}
	for i, typ := range types {
		e := durable.Event{Type: typ, SourceType: "order", SourceID: fmt.Sprint(i%2 + 1)}
		msg, err := e.Message("")
		if err != nil {
			return nil, err
		}
		if _, err := backend.Append(context.Background(), "orders", msg); err != nil {
			return nil, err
		}
	}
	return backend, nil
}

// How does a handler keep the order of a key when one of its events cannot be handled?
func ExamplePark() {
	backend, err := orders("broken", "created", "paid", "paid")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	handler := durable.HandleEvent(func(_ context.Context, e durable.Event) error {
		fmt.Println(e.SourceID, e.Type)
		switch e.Type {
		case "broken":
			return durable.Park(errors.New("cannot be handled"))
		case "paid":
			stop()
		}
		return nil
	})
	group := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	fmt.Println(durable.Process(ctx, backend, group, handler, durable.ProcessOptions{Concurrency: 1}))
	// Output:
	// 1 broken
	// 2 created
	// 2 paid
	// <nil>
}

// How does a handler end Process?
func ExampleStop() {
	backend, err := orders("created")
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := durable.HandleEvent(func(context.Context, durable.Event) error {
		return durable.Stop(errors.New("the licence has expired"))
	})
	group := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	fmt.Println(durable.Process(context.Background(), backend, group, handler, durable.ProcessOptions{}))
	// Output:
	// durable: process group "billing": the licence has expired
}

// How does a handler give an event back that it did not get to, without counting an attempt?
func ExampleRelease() {
	backend, err := orders("created")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	limited := true
	handler := durable.HandleEvent(func(ctx context.Context, _ durable.Event) error {
		d, _ := durable.DeliveryOf(ctx)
		fmt.Println("attempt", d.Attempt)
		if limited {
			limited = false
			return durable.Release(durable.RetryAfter(errors.New("rate limit"), time.Millisecond))
		}
		stop()
		return nil
	})
	group := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	fmt.Println(durable.Process(ctx, backend, group, handler, durable.ProcessOptions{}))
	// Output:
	// attempt 1
	// attempt 1
	// <nil>
}

// How does a policy tell what an error asks the engine to do?
func ExampleVerbOf() {
	failed := errors.New("failed")
	fmt.Println(durable.VerbOf(failed), durable.VerbOf(durable.Park(failed)), durable.VerbOf(durable.Release(failed)))
	fmt.Println(errors.Is(durable.Undecodable(failed), durable.ErrUndecodable))
	// Output:
	// retry park release
	// true
}

// How does a handler learn what it works on?
func ExampleDeliveryOf() {
	backend, err := orders("created")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	handler := durable.HandleEvent(func(ctx context.Context, _ durable.Event) error {
		if d, ok := durable.DeliveryOf(ctx); ok {
			fmt.Println(d.Group, d.Topic, d.Claim.Partition(), d.Key, d.Attempt)
		}
		stop()
		return nil
	})
	group := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	fmt.Println(durable.Process(ctx, backend, group, handler, durable.ProcessOptions{}))
	// Output:
	// billing orders 0 1 1
	// <nil>
}
