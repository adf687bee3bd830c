package watermillredisstream_test

import (
	"context"
	"fmt"

	"github.com/dualstream/dualstream/adapters/watermillredisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

func ExampleOpenRealtime() {
	ctx := context.Background()
	addr, release, err := testenv.SharedRedis(ctx) // that of a test; yours is such as "redis:6379"
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()
	bus, err := watermillredisstream.OpenRealtime(ctx, watermillredisstream.Config{Addrs: []string{addr}}, "example-"+durable.NewID())
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
	err = bus.Notify(ctx, realtime.Notification{Channel: realtime.Channel("order", "42"), ID: "7", Type: "order.created", SourceType: "order", SourceID: "42"})
	if err != nil {
		fmt.Println(err)
		return
	}
	signal, err := live.Next(ctx)
	fmt.Println(signal.Notification.Type, err, live.Close())
	// Output: order.created <nil> <nil>
}
