package redisstream_test

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// How are entries shared with programs that write and read plain fields?
func ExampleFields() {
	ctx := context.Background()
	addr, release, err := testenv.SharedRedis(ctx) // that of a test; yours is such as "redis:6379"
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()
	backend, err := redisstream.Open(ctx, redisstream.Config{
		Connection: redisstream.Connection{Addr: addr},
		Marshaller: redisstream.Fields{SourceID: "ticketID", SourceType: "ticket", Type: "whatHappened", Data: "ticketData"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = backend.Close(ctx) }()
	other := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = other.Close() }()

	topic := "example-" + durable.NewID()
	entry := []string{"ticketID", "42", "whatHappened", "ticket received", "ticketData", "some data"}
	if err := other.XAdd(ctx, &redis.XAddArgs{Stream: topic, Values: entry}).Err(); err != nil {
		fmt.Println(err)
		return
	}
	for record, err := range backend.Replay(ctx, topic, durable.Range{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		e, err := durable.EventOf(record.Message)
		fmt.Println(e.SourceType, e.SourceID, e.Type, string(e.Data), err)
	}
	msg, err := durable.Event{Type: "ticket closed", SourceType: "ticket", SourceID: "42"}.Message("")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := backend.Append(ctx, topic, msg); err != nil {
		fmt.Println(err)
		return
	}
	entries, err := other.XRevRangeN(ctx, topic, "+", "-", 1).Result()
	fmt.Println(entries[0].Values, err)
	fmt.Println(backend.DeleteTopic(ctx, topic))
	// Output:
	// ticket 42 ticket received some data <nil>
	// map[ticketData: ticketID:42 whatHappened:ticket closed] <nil>
	// <nil>
}
