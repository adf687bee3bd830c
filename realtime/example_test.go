package realtime_test

import (
	"context"
	"fmt"
	"time"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/realtime"
)

// Notifications are dispatched in the background: who announces an event does not wait for the bus.
func ExampleDispatcher() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	bus, err := memory.NewRealtime(memory.RealtimeConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = bus.Close(ctx) }()
	sub, err := bus.Subscribe(ctx, realtime.Pattern("events:order:*"))
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := realtime.NewDispatcher(bus, realtime.DispatcherOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	d.Dispatch(
		realtime.Notification{Channel: realtime.Channel("order", "7"), ID: "1", Type: "created"},
		realtime.Notification{Channel: realtime.Channel("order", "8"), ID: "2", Type: "created"},
	)
	if err := d.Close(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		s, err := sub.Next(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(s.Notification.Channel, s.Notification.ID)
	}
	fmt.Println("sent", d.Stats().Sent)
	// Output:
	// events:order:7 1
	// events:order:8 2
	// sent 2
}
