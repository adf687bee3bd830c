package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func ExampleLogging_howDoIFollowASingleEvent() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { // what differs from run to run
			if a.Key == slog.TimeKey || a.Key == "took" {
				return slog.Attr{}
			}
			return a
		},
	}))
	handler := middleware.Logging{Logger: logger}.Middleware(func(*message.Message) ([]*message.Message, error) {
		return nil, errors.New("no such customer")
	})
	msg, err := durable.Event{ID: "7", Type: "order.created", SourceType: "order", SourceID: "42"}.Message("")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = handler(msg)
	fmt.Println(err)
	// Output:
	// level=WARN msg="event failed" event=7 type=order.created source_type=order source_id=42 error="no such customer"
	// no such customer
}

func ExamplePublisherStack_howDoIPublishThroughAShortOutage() {
	ctx := context.Background()
	store, err := memory.New(memory.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close(ctx) }()
	calls := 0
	outage := func(b durable.Backend) durable.Backend { // refuses the first call
		return middleware.WrapAppend(b, func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
			if calls++; calls == 1 {
				return make([]durable.Position, len(msgs)), durable.FailAll(topic, len(msgs), durable.NotSent, durable.ErrUnavailable)
			}
			return b.Append(ctx, topic, msgs...)
		})
	}
	layers, err := middleware.PublisherStack{
		Poison: &middleware.Poison{Backend: store}, // keeps what the broker rejects
		Retry:  &middleware.Retry{MaxAttempts: 3},
	}.Append()
	if err != nil {
		fmt.Println(err)
		return
	}
	publisher, err := dual.New(store, nil, dual.Options{Topic: "orders", Append: append(layers, outage)})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = publisher.Publish(ctx, durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"})
	fmt.Println("calls:", calls, "error:", err)
	fmt.Println(publisher.Close(ctx))
	// Output:
	// calls: 2 error: <nil>
	// <nil>
}

func ExampleDedupe_Batch_howDoIHandleABatchOfEventsOnce() {
	once := &middleware.Dedupe{Group: "billing"} // under durable.ProcessBatch the group is known
	handler := once.Batch(func(_ context.Context, ds []durable.Delivery) []error {
		for _, d := range ds {
			fmt.Println("charging for", d.Message.UUID)
		}
		return nil
	})
	for _, ids := range [][]string{{"order-1", "order-2"}, {"order-2", "order-3"}} {
		var batch []durable.Delivery
		for _, id := range ids {
			batch = append(batch, durable.Delivery{Message: message.NewMessage(id, nil)})
		}
		fmt.Println(handler(context.Background(), batch))
	}
	// Output:
	// charging for order-1
	// charging for order-2
	// [<nil> <nil>]
	// charging for order-3
	// [<nil> <nil>]
}
