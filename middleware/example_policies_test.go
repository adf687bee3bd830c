package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// orders is a backend with n events of source 42 in topic orders.
func orders(n int) *memory.Backend {
	backend, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		panic(err)
	}
	for i := range n {
		msg, err := durable.Event{ID: fmt.Sprint(i + 1), Type: "order.created", SourceType: "order", SourceID: "42"}.Message("")
		if err != nil {
			panic(err)
		}
		if _, err := backend.Append(context.Background(), "orders", msg); err != nil {
			panic(err)
		}
	}
	return backend
}

func ExamplePoison_howDoIKeepEventsThatCannotBeHandled() {
	ctx, stop := context.WithCancel(context.Background())
	backend := orders(2)
	defer func() { _ = backend.Close(context.Background()) }()

	poison := &middleware.Poison{Backend: backend, Logger: silent}
	handler := poison.Middleware(func(msg *message.Message) ([]*message.Message, error) {
		if msg.UUID == "1" {
			return nil, middleware.Permanent(errors.New("no such customer"))
		}
		fmt.Println("handled", msg.UUID)
		stop()
		return nil, nil
	})
	group := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	err := durable.Process(ctx, backend, group, func(msg *message.Message) error {
		_, err := handler(msg)
		return err
	}, durable.ProcessOptions{})
	fmt.Println(err)
	for r, err := range backend.Replay(context.Background(), "orders.poison", durable.Range{}) {
		p := middleware.RecordOf(r)
		fmt.Println(p.ID, p.Class, p.Reason, p.Origin, p.Group, err)
	}
	// Output:
	// handled 2
	// <nil>
	// 1 permanent no such customer orders billing <nil>
}

func ExamplePoison_Append_howDoIKeepWhatTheBrokerRejects() {
	backend := orders(0)
	defer func() { _ = backend.Close(context.Background()) }()
	reject := func(b durable.Backend) durable.Backend {
		return middleware.WrapAppend(b, func(_ context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
			return make([]durable.Position, len(msgs)), durable.FailAll(topic, len(msgs), durable.Rejected, durable.ErrTooLarge)
		})
	}
	poison := &middleware.Poison{Backend: backend}
	publisher, err := dual.New(backend, nil, dual.Options{Topic: "orders", Append: []func(durable.Backend) durable.Backend{poison.Append, reject}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = publisher.Publish(context.Background(), durable.Event{ID: "1", Type: "order.created", SourceType: "order", SourceID: "42"})
	fmt.Println(errors.Is(err, durable.ErrTooLarge))
	for r, err := range backend.Replay(context.Background(), "orders.poison", durable.Range{}) {
		fmt.Println(middleware.RecordOf(r).ID, middleware.RecordOf(r).Class, err)
	}
	// Output:
	// true
	// 1 rejected <nil>
}

func ExampleRedrive_howDoIMovePoisonedEventsBack() {
	ctx := context.Background()
	backend := orders(3)
	defer func() { _ = backend.Close(ctx) }()
	poison := middleware.NoPublish(func(*message.Message) error { return middleware.Permanent(errors.New("no such customer")) })
	run, stop := context.WithCancel(ctx)
	left := 3
	p := &middleware.Poison{Backend: backend, Logger: silent, OnPoison: func(middleware.PoisonEvent) {
		if left--; left == 0 {
			stop()
		}
	}}
	chain, err := middleware.NewChain(p)
	if err != nil {
		fmt.Println(err)
		return
	}
	group := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	if err := durable.Process(run, backend, group, chain.Handler(poison), durable.ProcessOptions{}); err != nil {
		fmt.Println(err)
	}

	redrive := middleware.Redrive{
		Backend: backend, Topic: "orders.poison",
		Select: middleware.Selection{Classes: []string{middleware.ReasonPermanent}},
		Limit:  2,
	}
	report, err := redrive.Run(ctx)
	fmt.Println(report.Moved, "moved", err)
	for p, err := range redrive.List(ctx) {
		fmt.Println("left:", p.ID, err)
	}
	// Output:
	// 2 moved <nil>
	// left: 3 <nil>
}

func ExampleTiers_howDoIRetryAfterMinutesWithoutHoldingTheConsumer() {
	backend := orders(0)
	defer func() { _ = backend.Close(context.Background()) }()
	tiers := &middleware.Tiers{Backend: backend, Delays: []time.Duration{5 * time.Second, time.Minute, 10 * time.Minute}}
	group := durable.Group{Name: "billing", Topics: durable.Topics(append([]string{"orders"}, tiers.Topics("orders")...)...)}
	for _, t := range group.Topics {
		fmt.Println(t.Topic)
	}
	handler := tiers.Middleware(func(*message.Message) ([]*message.Message, error) {
		return nil, errors.New("the bank is closed")
	})
	msg := message.NewMessage("1", nil)
	_, err := handler(msg)
	fmt.Println("acknowledged:", err == nil)
	// Output:
	// orders
	// orders.retry.5s
	// orders.retry.1m
	// orders.retry.10m
	// acknowledged: true
}

func ExampleProduce_howDoIPublishWhatAHandlerProduces() {
	backend := orders(1)
	defer func() { _ = backend.Close(context.Background()) }()
	publisher, err := durable.NewPublisher(backend, durable.PublisherOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	chain, err := middleware.NewChain(middleware.Retry{}, middleware.Produce{Publisher: publisher, Topic: "invoices"})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := chain.Handler(func(msg *message.Message) ([]*message.Message, error) {
		return []*message.Message{message.NewMessage("invoice of "+msg.UUID, nil)}, nil
	})
	fmt.Println(handler(message.NewMessage("1", nil)))
	for r, err := range backend.Replay(context.Background(), "invoices", durable.Range{}) {
		fmt.Println(r.Message.UUID, err)
	}
	// Output:
	// <nil>
	// invoice of 1 <nil>
}

func ExampleConcurrency_howDoIProtectADatabase() {
	limit := &middleware.Concurrency{Max: 4}
	invoices := limit.Middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil })
	reminders := limit.Middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil })
	_, err := invoices(message.NewMessage("1", nil))
	_, err2 := reminders(message.NewMessage("2", nil))
	fmt.Println(err, err2)
	// Output:
	// <nil> <nil>
}

func ExampleRateLimit_howDoIStayBelowAnAPIsLimit() {
	handler := (&middleware.RateLimit{PerSecond: 1000, Burst: 10}).Middleware(func(msg *message.Message) ([]*message.Message, error) {
		fmt.Println("called for", msg.UUID)
		return nil, nil
	})
	_, err := handler(message.NewMessage("1", nil))
	fmt.Println(err)
	// Output:
	// called for 1
	// <nil>
}

func ExampleBreaker_howDoIStopCallingAServiceThatIsDown() {
	breaker := &middleware.Breaker{Failures: 2, Open: time.Minute, Logger: silent}
	handler := breaker.Middleware(func(*message.Message) ([]*message.Message, error) {
		return nil, errors.New("connection refused")
	})
	for range 2 {
		_, _ = handler(message.NewMessage("1", nil))
	}
	fmt.Println(breaker.State())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	msg := message.NewMessage("2", nil)
	msg.SetContext(ctx)
	_, err := handler(msg)
	fmt.Println(errors.Is(err, middleware.ErrOpen), middleware.ClassOf(err))
	// Output:
	// open
	// true busy
}

func ExampleRedriven_howDoIIgnoreWhatAnotherGroupRedrives() {
	handler := middleware.Redriven{Group: "mail"}.Middleware(func(msg *message.Message) ([]*message.Message, error) {
		fmt.Println("handled", msg.UUID)
		return nil, nil
	})
	theirs := message.NewMessage("1", nil)
	theirs.Metadata[middleware.MetaRedriveGroup] = "billing"
	_, err := handler(theirs)
	fmt.Println(err)
	// Output:
	// <nil>
}

func ExampleStack_howDoIPutThePoliciesTogether() {
	ctx, stop := context.WithCancel(context.Background())
	backend := orders(1)
	defer func() { _ = backend.Close(context.Background()) }()
	stack := middleware.Stack{
		Poison:  &middleware.Poison{Backend: backend},
		Retry:   &middleware.Retry{MaxAttempts: 5},
		Dedupe:  &middleware.Dedupe{},
		Timeout: &middleware.Timeout{After: 10 * time.Second},
	}
	handler, err := stack.Handler(middleware.NoPublish(durable.HandleEvent(func(_ context.Context, e durable.Event) error {
		fmt.Println(e.Type, e.SourceID)
		stop()
		return nil
	})))
	if err != nil {
		fmt.Println(err)
		return
	}
	group := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	fmt.Println(durable.Process(ctx, backend, group, handler, durable.ProcessOptions{}))
	// Output:
	// order.created 42
	// <nil>
}

func ExampleNewChain_whyIsMyOrderRefused() {
	backend := orders(0)
	defer func() { _ = backend.Close(context.Background()) }()
	_, err := middleware.NewChain(middleware.Retry{}, &middleware.Poison{Backend: backend})
	fmt.Println(err)
	// Output:
	// invalid Chain "retry outside of poison": the first failure is poisoned, and retry sees a success: put poison outside of retry
}
