package dual_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

func ExamplePublisher() {
	ctx := context.Background()
	stream, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		panic(err)
	}
	bus, err := memory.NewRealtime(memory.RealtimeConfig{})
	if err != nil {
		panic(err)
	}
	live, err := bus.Subscribe(ctx, realtime.Channel("order", "1042"))
	if err != nil {
		panic(err)
	}
	publisher, err := dual.New(stream, bus, dual.Options{Topic: "orders"})
	if err != nil {
		panic(err)
	}
	receipts, err := publisher.Publish(ctx, durable.Event{
		ID: "7", Type: "order.created", SourceType: "order", SourceID: "1042", Data: []byte(`{"total": 42}`),
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(receipts[0].ID, receipts[0].Status, receipts[0].Topic, receipts[0].Channels)
	signal, err := live.Next(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(signal.Notification.Type, signal.Notification.ID)
	_ = live.Close()
	_ = publisher.Close(ctx)
	_ = bus.Close(ctx)
	_ = stream.Close(ctx)
	// Output:
	// 7 stored orders [events:order:1042]
	// order.created 7
}

func ExampleLoad() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "app.yaml")
	text := "durable: { backend: memory }\npublish: { topic: orders }\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		panic(err)
	}
	cfg, err := dual.Load(file)
	if err != nil {
		panic(err)
	}
	fmt.Print(cfg)
	// Output:
	// durable:
	//   backend: memory
	// publish:
	//   topic: orders
}

func ExampleOpen() {
	ctx := context.Background()
	cfg, err := dual.Parse("app.yaml", []byte(`
durable: { backend: memory }
realtime: { backend: memory }
topics:
  events: { partitions: 8 }
`))
	if err != nil {
		panic(err)
	}
	stack, err := dual.Open(ctx, cfg, adapters.All())
	if err != nil {
		panic(err)
	}
	receipts, err := stack.Publisher.Publish(ctx, durable.Event{Type: "made", SourceType: "thing", SourceID: "a"})
	fmt.Println(receipts[0].Status, err)
	fmt.Println(stack.Health(ctx), stack.Close(ctx))
	// Output:
	// stored <nil>
	// <nil> <nil>
}
