package kafka_test

import (
	"context"
	"fmt"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func ExampleOpen() {
	ctx := context.Background()
	brokers, release, err := testenv.SharedKafka(ctx) // those of a test; yours are such as "kafka-1:9092"
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()
	backend, err := kafka.Open(ctx, kafka.Config{Brokers: brokers})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = backend.Close(ctx) }()

	topic := "example-" + durable.NewID()
	if err := backend.CreateTopic(ctx, durable.TopicSpec{Name: topic, Partitions: 2}); err != nil {
		fmt.Println(err)
		return
	}
	msg, err := durable.Event{Type: "order.created", SourceType: "orders", SourceID: "42", Data: []byte("{}")}.Message("")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := backend.Append(ctx, topic, msg); err != nil {
		fmt.Println(err)
		return
	}
	for record, err := range backend.Replay(ctx, topic, durable.Range{}) {
		fmt.Println(record.Key, string(record.Message.Payload), err)
	}
	fmt.Println(backend.DeleteTopic(ctx, topic))
	// Output:
	// 42 {} <nil>
	// <nil>
}
