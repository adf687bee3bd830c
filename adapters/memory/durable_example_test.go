package memory_test

import (
	"context"
	"fmt"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

func ExampleNew() {
	ctx := context.Background()
	backend, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = backend.Close(ctx) }()

	msg, err := durable.Event{Type: "order.created", SourceType: "orders", SourceID: "42", Data: []byte("{}")}.Message("")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := backend.Append(ctx, "orders", msg); err != nil {
		fmt.Println(err)
		return
	}
	for record, err := range backend.Replay(ctx, "orders", durable.Range{}) {
		fmt.Println(record.Key, string(record.Message.Payload), err)
	}
	// Output: 42 {} <nil>
}
