package durable_test

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

// How does a handler get several events at once?
func ExampleProcessBatch() {
	backend, err := orders("created", "created", "paid", "paid", "shipped")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	left := 5
	handler := func(_ context.Context, ds []durable.Delivery) []error {
		fmt.Println("a batch of", len(ds))
		if left -= len(ds); left == 0 {
			stop()
		}
		return nil // all are handled
	}
	group := durable.Group{Name: "archive", Topics: durable.Topics("orders")}
	options := durable.BatchOptions{Size: 4, Wait: time.Millisecond, ProcessOptions: durable.ProcessOptions{Concurrency: 1}}
	fmt.Println(durable.ProcessBatch(ctx, backend, group, handler, options))
	// Output:
	// a batch of 4
	// a batch of 1
	// <nil>
}

// How does a handler get values instead of bytes?
func ExampleHandle() {
	type order struct {
		Total int `json:"total"`
	}
	handler := durable.Handle(durable.JSON{}, func(_ context.Context, o order, msg *message.Message) error {
		fmt.Println(msg.UUID, o.Total)
		return nil
	})
	fmt.Println(handler(message.NewMessage("1", []byte(`{"total":3}`))))
	fmt.Println(handler(message.NewMessage("2", []byte(`total: 3`))))
	// Output:
	// 1 3
	// <nil>
	// undecodable: invalid character 'o' in literal true (expecting 'r')
}

// How are many events appended at the least cost?
func ExamplePublisher_AppendBatch() {
	ctx := context.Background()
	backend, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	publisher, err := durable.NewPublisher(backend, durable.PublisherOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	batch := durable.NewBatch(3)
	for _, typ := range []string{"created", "paid", "shipped"} {
		e := durable.Event{Type: typ, SourceType: "order", SourceID: "42"}
		if err := batch.Add(&e, ""); err != nil {
			fmt.Println(err)
			return
		}
	}
	positions, err := publisher.AppendBatch(ctx, "orders", batch)
	fmt.Println(len(positions), err)
	// Output:
	// 3 <nil>
}

// How does a Watermill program consume?
func ExampleSubscriber() {
	backend, err := orders("created", "paid")
	if err != nil {
		fmt.Println(err)
		return
	}
	subscriber, err := durable.NewSubscriber(backend, durable.Group{Name: "billing"}, durable.ProcessOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	messages, err := subscriber.Subscribe(context.Background(), "orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		msg := <-messages
		fmt.Println(msg.Metadata.Get("ce_type"))
		msg.Ack()
	}
	fmt.Println(subscriber.Close())
	// Unordered output:
	// created
	// paid
	// <nil>
}
