package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func ExampleAfter_howDoIRetryWhenTheServerSays() {
	var waits []time.Duration
	retry := middleware.Retry{
		MaxAttempts: 3, Initial: time.Millisecond,
		OnRetry: func(e middleware.RetryEvent) { waits = append(waits, e.Delay) },
	}
	attempts := 0
	handler := retry.Middleware(func(*message.Message) ([]*message.Message, error) {
		if attempts++; attempts == 1 {
			return nil, middleware.After(errors.New("429 Too Many Requests"), 5*time.Millisecond) // Retry-After of the response
		}
		return nil, nil
	})
	_, err := handler(message.NewMessage("1", nil))
	fmt.Println(attempts, "attempts, waited", waits, err)
	// Output:
	// 2 attempts, waited [5ms] <nil>
}

func ExampleBusy_howDoIWaitWithoutUsingUpAttempts() {
	ctx, stop := context.WithCancel(context.Background())
	backend := orders(1)
	defer func() { _ = backend.Close(context.Background()) }()
	maintenance := 3
	handler, err := middleware.Stack{
		Poison: &middleware.Poison{Backend: backend, Logger: silent},
		Retry:  &middleware.Retry{MaxAttempts: 1}, // any failure is the last
	}.Handler(func(*message.Message) ([]*message.Message, error) {
		if maintenance--; maintenance >= 0 {
			return nil, middleware.Busy(errors.New("the database is being moved"), time.Millisecond)
		}
		fmt.Println("handled")
		stop()
		return nil, nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	group := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	fmt.Println(durable.Process(ctx, backend, group, handler, durable.ProcessOptions{Logger: silent}))
	// Output:
	// handled
	// <nil>
}

func ExampleDedupeKey_whatMakesTwoDeliveriesTheSameEvent() {
	sent := func(source, id string) *message.Message {
		msg, err := durable.Event{ID: id, Type: "order.created", SourceType: "order", SourceID: source}.Message("")
		if err != nil {
			panic(err)
		}
		return msg
	}
	first := middleware.DedupeKey(sent("42", "7"))
	fmt.Println("published again:", middleware.DedupeKey(sent("42", "7")) == first)
	fmt.Println("of another source:", middleware.DedupeKey(sent("43", "7")) == first)
	fmt.Println("no event of ours:", middleware.DedupeKey(message.NewMessage("uuid", nil)))
	// Output:
	// published again: true
	// of another source: false
	// no event of ours: uuid
}

func ExampleDefaultDelays_howDoIAddATier() {
	backend, err := memory.New(memory.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = backend.Close(context.Background()) }()
	tiers := &middleware.Tiers{Backend: backend, Delays: append(middleware.DefaultDelays(), time.Hour)}
	fmt.Println(tiers.Topics("orders"))
	// Output:
	// [orders.retry.5s orders.retry.1m orders.retry.10m orders.retry.1h]
}

func ExampleEventLogger_howDoesAHandlerLogWhatItIsAbout() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr { // the time differs from run to run
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	handler := func(msg *message.Message) ([]*message.Message, error) {
		middleware.EventLogger(logger, msg).Info("charged", "cents", 1250)
		return nil, nil
	}
	msg, err := durable.Event{ID: "7", Type: "order.created", SourceType: "order", SourceID: "42"}.Message("")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = handler(msg)
	fmt.Println(err)
	// Output:
	// level=INFO msg=charged event=7 type=order.created source_type=order source_id=42 cents=1250
	// <nil>
}

func ExampleFilter_howDoIHandleSomeTypesOnly() {
	filter := &middleware.Filter{Types: []string{"invoice.paid"}, Patterns: []string{"order.*"}}
	handler := filter.Middleware(func(msg *message.Message) ([]*message.Message, error) {
		fmt.Println("handling", msg.Metadata[durable.MetaType])
		return nil, nil
	})
	for _, kind := range []string{"order.created", "user.seen", "invoice.paid"} {
		msg, err := durable.Event{Type: kind, SourceType: "shop", SourceID: "1"}.Message("1")
		if err == nil {
			_, err = handler(msg)
		}
		if err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("filtered:", filter.Filtered())
	// Output:
	// handling order.created
	// handling invoice.paid
	// filtered: 1
}

func ExampleNewMemoryDedupe_howDoIBoundWhatIsRemembered() {
	store := middleware.NewMemoryDedupe(2) // events; it forgets the one that was handled longest ago
	once := &middleware.Dedupe{Group: "billing", Store: store}
	handler := once.Middleware(func(msg *message.Message) ([]*message.Message, error) {
		fmt.Println("handled", msg.UUID)
		return nil, nil
	})
	for _, id := range []string{"1", "2", "3", "3", "1"} {
		if _, err := handler(message.NewMessage(id, nil)); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println("held:", store.Len(), "forgotten:", store.Evicted())
	// Output:
	// handled 1
	// handled 2
	// handled 3
	// handled 1
	// held: 2 forgotten: 2
}
