package durable_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

// How does a reader go on behind what it has read?
func ExampleAfter() {
	ctx := context.Background()
	b, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = b.Close(ctx) }()
	cursor := durable.Cursor{}
	for i := range 3 {
		msg, err := durable.Event{Type: "made", SourceType: "thing", SourceID: "a", Data: []byte(fmt.Sprint(i))}.Message("")
		if err != nil {
			fmt.Println(err)
			return
		}
		at, err := b.Append(ctx, "things", msg)
		if err != nil {
			fmt.Println(err)
			return
		}
		if i == 0 {
			cursor[0] = at[0]
		}
	}
	for record, err := range b.Replay(ctx, "things", durable.Range{From: durable.After(cursor)}) {
		fmt.Println(string(record.Message.Payload), err)
	}
	for record, err := range b.Replay(ctx, "things", durable.Range{From: durable.At(time.Now().Add(time.Hour))}) {
		fmt.Println("from the future:", record, err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
}

// Where does an event land, here and with the Java client?
func ExamplePartition() {
	msg, err := durable.Event{ID: "7", Type: "made", SourceType: "order", SourceID: "42", Time: time.Unix(0, 0), Data: []byte("{}")}.Message("")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(durable.Key(msg), durable.Partition(durable.Key(msg), 8) == durable.Partition("42", 8), durable.Size(msg) > len(msg.Payload))
	fmt.Println(len(durable.NewID()), durable.CheckMessage(msg), durable.CheckTopic("a/b") != nil)
	// Output:
	// 42 true true
	// 36 <nil> true
}

// How is the event as one JSON document written, for consumers that expect one?
func ExampleStructured() {
	msg, err := durable.Event{ID: "7", Type: "order.created", SourceType: "order", SourceID: "42", Time: time.Unix(0, 0), Data: []byte(`{"total":1}`), ContentType: "application/json"}.Message("")
	if err != nil {
		fmt.Println(err)
		return
	}
	out, err := durable.Structured(msg)
	if err != nil {
		fmt.Println(err)
		return
	}
	e, err := durable.EventOf(out)
	fmt.Println(out.Metadata.Get("content-type"), e.Type, string(e.Data), err)
	// Output: application/cloudevents+json order.created {"total":1} <nil>
}

// How long does a failed event wait?
func ExampleRetryDelay() {
	delay, ok := durable.RetryDelay(durable.RetryAfter(errors.New("busy"), 5*time.Second))
	fmt.Println(delay, ok, durable.DefaultBackoff(1, nil) <= 100*time.Millisecond)
	// Output: 5s true true
}

// How does a Pub/Sub of Watermill store?
func ExampleFromWatermill() {
	ctx := context.Background()
	pubsub := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
	b, err := durable.FromWatermill(durable.Watermill{
		Publisher: pubsub, Close: pubsub.Close,
		Subscriber: func(durable.Group) (message.Subscriber, error) { return pubsub, nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = b.Close(ctx) }()
	msg, err := durable.Event{Type: "made", SourceType: "thing", SourceID: "a"}.Message("")
	if err != nil {
		fmt.Println(err)
		return
	}
	at, err := b.Append(ctx, "things", msg)
	fmt.Println(len(at), err, b.Capabilities().Replay)
	// Output: 1 <nil> false
}
