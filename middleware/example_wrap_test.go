package middleware_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/realtime"
)

func ExampleWrap_howDoIUseAMiddlewareOfWatermill() {
	told := func(h message.HandlerFunc) message.HandlerFunc { // such as middleware.CorrelationID of Watermill
		return func(msg *message.Message) ([]*message.Message, error) {
			fmt.Println("before", msg.UUID)
			return h(msg)
		}
	}
	chain, err := middleware.NewChain(middleware.Retry{MaxAttempts: 3}, middleware.Wrap(told))
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := chain.Handler(func(msg *message.Message) ([]*message.Message, error) {
		fmt.Println("handled", msg.UUID)
		return nil, nil
	})
	fmt.Println(handler(message.NewMessage("1", nil)))
	// Output:
	// before 1
	// handled 1
	// <nil>
}

func ExampleWrapNotify_howDoIAnnounceSomeTypesOnly() {
	ctx := context.Background()
	store, err := memory.New(memory.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close(ctx) }()
	bus, err := memory.NewRealtime(memory.RealtimeConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = bus.Close(ctx) }()
	public := func(b realtime.Backend) realtime.Backend {
		return middleware.WrapNotify(b, func(ctx context.Context, ns ...realtime.Notification) error {
			var some []realtime.Notification
			for _, n := range ns {
				if n.Type != "order.audited" {
					some = append(some, n)
				}
			}
			return b.Notify(ctx, some...)
		})
	}
	publisher, err := dual.New(store, bus, dual.Options{Notify: []func(realtime.Backend) realtime.Backend{public}})
	if err != nil {
		fmt.Println(err)
		return
	}
	live, err := bus.Subscribe(ctx, realtime.Channel("order", "42"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = live.Close() }()
	for _, kind := range []string{"order.audited", "order.paid"} {
		if _, err := publisher.Publish(ctx, durable.Event{Type: kind, SourceType: "order", SourceID: "42"}); err != nil {
			fmt.Println(err)
		}
	}
	signal, err := live.Next(ctx)
	fmt.Println(signal.Notification.Type, err)
	fmt.Println(publisher.Close(ctx))
	// Output:
	// order.paid <nil>
	// <nil>
}

func ExampleErrorClass_howDoILabelMetricsOfMyOwn() {
	down := durable.FailAll("orders", 1, durable.NotSent, durable.ErrUnavailable)
	fmt.Printf("%q %q\n", middleware.ErrorClass(down), middleware.ErrorClass(errors.New("something else")))
	// Output: "unavailable" ""
}
