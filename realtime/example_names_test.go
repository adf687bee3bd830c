package realtime_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/dualstream/dualstream/realtime"
)

// Which channels does a pattern select?
func ExampleMatch() {
	fmt.Println(realtime.Match("events:order:*", "events:order:42"), realtime.Match("events:order:4[0-1]", "events:order:42"))
	id := "a*b" // wildcards of an identifier mean nothing
	fmt.Println(realtime.Match("events:*:"+realtime.Escape(id), "events:order:a*b"), realtime.Match("events:*:"+realtime.Escape(id), "events:order:aXb"))
	// Output:
	// true false
	// true false
}

// What tells a pattern from a channel whose name has a wildcard in it?
func ExamplePattern() {
	exact, pattern := "events:order:*", realtime.Pattern("events:order:*")
	glob, ok := realtime.Glob(pattern)
	fmt.Println(realtime.IsPattern(exact), realtime.IsPattern(pattern), glob, ok)
	fmt.Println(realtime.Selects(exact, "events:order:42"), realtime.Selects(pattern, "events:order:42"))
	// Output:
	// false true events:order:* true
	// false true
}

// Where are the notifications of many sources broadcast?
func ExampleChannels() {
	orders := []string{"42", "43"}
	fmt.Println(realtime.Channels(len(orders), func(i int) (string, string) { return "order", orders[i] }))
	// Output: [events:order:42 events:order:43]
}

func ExampleParseNotification() {
	n, err := realtime.ParseNotification("events:order:42", []byte(`{"id":"7","type":"order.created","source_type":"order","source_id":"42","position":"0:1"}`))
	fmt.Println(n.Channel, n.ID, n.Type, n.Position, err)
	// Output: events:order:42 7 order.created 0:1 <nil>
}

func ExampleCheckChannel() {
	fmt.Println(realtime.CheckChannel(realtime.Channel("order", "42")), realtime.CheckChannel("") != nil)
	// Output: <nil> true
}

// How does a Pub/Sub of Watermill announce?
func ExampleFromWatermill() {
	ctx := context.Background()
	pubsub := gochannel.NewGoChannel(gochannel.Config{}, watermill.NopLogger{})
	bus, err := realtime.FromWatermill(realtime.Watermill{
		Publisher: pubsub, Subscriber: func() (message.Subscriber, error) { return pubsub, nil },
	})
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
