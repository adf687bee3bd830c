package durable_test

import (
	"context"
	"fmt"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// How do I read topics without a group, and add one while reading?
func ExampleReader() {
	ctx := context.Background()
	backend, err := memory.New(memory.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = backend.Close(ctx) }()
	reader, err := durable.NewReader(ctx, backend, durable.ReaderOptions{Topics: durable.Topics("orders")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = reader.Close(ctx) }()
	created := &middleware.Filter{Patterns: []string{"*.created"}}
	events, err := reader.Subscribe(durable.SubscribeOptions{Select: created.Passes})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := reader.AddTopics(ctx, durable.TopicStart{Topic: "invoices", Start: durable.Newest()}); err != nil {
		fmt.Println(err)
		return
	}

	for _, e := range []durable.Event{
		{Type: "order.created", SourceType: "order", SourceID: "42"},
		{Type: "order.paid", SourceType: "order", SourceID: "42"},
		{Type: "invoice.created", SourceType: "invoice", SourceID: "7"},
	} {
		msg, err := e.Message("")
		if err == nil {
			_, err = backend.Append(ctx, e.SourceType+"s", msg)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	for range 2 {
		record, err := events.Next(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(record.Topic, record.Key)
	}
	// Unordered output:
	// orders 42
	// invoices 7
}
