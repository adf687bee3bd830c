package memory_test

import (
	"context"
	"fmt"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

func ExampleNewRealtime() {
	ctx := context.Background()
	bus, err := memory.NewRealtime(memory.RealtimeConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = bus.Close(ctx) }()
	live, err := bus.Subscribe(ctx, realtime.Channel("order", "42"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = live.Close() }()
	err = bus.Notify(ctx, realtime.Notification{Channel: realtime.Channel("order", "42"), ID: "7", Type: "order.created", SourceType: "order", SourceID: "42"})
	if err != nil {
		fmt.Println(err)
		return
	}
	signal, err := live.Next(ctx)
	fmt.Println(signal.Notification.Type, signal.Notification.ID, err)
	// Output: order.created 7 <nil>
}

// How does a test begin again with the records of a backend that was closed?
func ExampleNewStore() {
	ctx := context.Background()
	store := memory.NewStore()
	for i := range 2 {
		backend, err := memory.New(memory.Config{Store: store, Partitions: 1})
		if err != nil {
			fmt.Println(err)
			return
		}
		msg, err := durable.Event{Type: "made", SourceType: "thing", SourceID: "a", Data: []byte(fmt.Sprint(i))}.Message("")
		if err != nil {
			fmt.Println(err)
			return
		}
		if _, err := backend.Append(ctx, "things", msg); err != nil {
			fmt.Println(err)
			return
		}
		for record, err := range backend.Replay(ctx, "things", durable.Range{}) {
			fmt.Println("backend", i, "reads", string(record.Message.Payload), err)
		}
		_ = backend.Close(ctx)
	}
	// Output:
	// backend 0 reads 0 <nil>
	// backend 1 reads 0 <nil>
	// backend 1 reads 1 <nil>
}
