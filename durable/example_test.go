package durable_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

func ExampleEvent_Message() {
	msg, err := durable.Event{
		ID: "1", Type: "order.created", SourceType: "order", SourceID: "42", Data: []byte(`{"total":3}`),
	}.Message("")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(msg.Metadata["ce_type"], msg.Metadata["ce_source"], msg.Metadata["ce_subject"], durable.Key(msg))
	e, err := durable.EventOf(msg)
	fmt.Println(e.ID, e.SourceID, string(e.Data), err)
	// Output:
	// order.created /order 42 42
	// 1 42 {"total":3} <nil>
}

func ExamplePublisher() {
	ctx := context.Background()
	backend, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = backend.Close(ctx) }()
	publisher, err := durable.NewPublisher(backend, durable.PublisherOptions{MaxInFlight: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = publisher.Shutdown(ctx) }()

	msg, err := durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"}.Message("")
	if err != nil {
		fmt.Println(err)
		return
	}
	positions, err := publisher.Append(ctx, "orders", msg)
	fmt.Println(len(positions), err)
	_, err = publisher.Append(ctx, "no such topic!", msg)
	fmt.Println(strings.Contains(err.Error(), "invalid topic"))
	// Output:
	// 1 <nil>
	// true
}

func ExampleProcess() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	backend, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = backend.Close(context.Background()) }()
	for _, typ := range []string{"order.created", "order.paid", "order.shipped"} {
		msg, err := durable.Event{Type: typ, SourceType: "order", SourceID: "42"}.Message("")
		if err != nil {
			fmt.Println(err)
			return
		}
		if _, err := backend.Append(ctx, "orders", msg); err != nil {
			fmt.Println(err)
			return
		}
	}

	handler := durable.HandleEvent(func(_ context.Context, e durable.Event) error {
		fmt.Println(e.SourceID, e.Type)
		if e.Type == "order.shipped" {
			stop()
		}
		return nil
	})
	group := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	fmt.Println(durable.Process(ctx, backend, group, handler, durable.ProcessOptions{}))
	// Output:
	// 42 order.created
	// 42 order.paid
	// 42 order.shipped
	// <nil>
}
