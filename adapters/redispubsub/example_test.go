package redispubsub_test

import (
	"context"
	"fmt"

	"github.com/dualstream/dualstream/adapters/redispubsub"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

func ExampleOpen() {
	ctx := context.Background()
	addr, release, err := testenv.SharedRedis(ctx) // that of a test; yours is such as "redis:6379"
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()
	bus, err := redispubsub.Open(ctx, redispubsub.Config{Connection: redispubsub.Connection{Addr: addr}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = bus.Close(ctx) }()

	order := durable.NewID()
	live, err := bus.Subscribe(ctx, realtime.Channel("order", order))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = live.Close() }()
	err = bus.Notify(ctx, realtime.Notification{Channel: realtime.Channel("order", order), ID: "7", Type: "order.created", SourceType: "order", SourceID: order})
	if err != nil {
		fmt.Println(err)
		return
	}
	signal, err := live.Next(ctx)
	fmt.Println(signal.Notification.Type, signal.Notification.ID, err)
	// Output: order.created 7 <nil>
}
