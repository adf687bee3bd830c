package redisdedupe_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/redisdedupe"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// How do the processes of a group handle every event once?
func ExampleOpen() {
	ctx := context.Background()
	addr, release, err := testenv.SharedRedis(ctx) // that of a test; yours is such as "redis:6379"
	if err != nil {
		fmt.Println(err)
		return
	}
	defer release()
	store, err := redisdedupe.Open(ctx, redisdedupe.Config{
		Connection: redisdedupe.Connection{Addr: addr}, Prefix: "example:" + durable.NewID() + ":",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close(ctx) }()

	dedupe := &middleware.Dedupe{Group: "billing", Store: store}
	handle := dedupe.Middleware(func(msg *message.Message) ([]*message.Message, error) {
		fmt.Println("charged", string(msg.Payload))
		return nil, nil
	})
	for range 2 { // the second is a repetition
		msg, err := durable.Event{ID: "7", Type: "paid", SourceType: "order", SourceID: "42", Data: []byte("42")}.Message("")
		if err != nil {
			fmt.Println(err)
			return
		}
		if _, err := handle(msg); err != nil {
			fmt.Println(err)
		}
	}
	// Output: charged 42
}
