package redisstream_test

import (
	"context"
	"fmt"

	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func ExampleOpen() {
	ctx := context.Background()
	addr, release, err := testenv.SharedRedis(ctx) // that of a test; yours is such as "redis:6379"
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()
	backend, err := redisstream.Open(ctx, redisstream.Config{Connection: redisstream.Connection{Addr: addr}})
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
