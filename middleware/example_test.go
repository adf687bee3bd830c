package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func ExampleRetry_howDoIRetryWithBackoff() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	backend, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = backend.Close(context.Background()) }()
	msg, err := durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"}.Message("")
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := backend.Append(ctx, "orders", msg); err != nil {
		fmt.Println(err)
		return
	}

	attempts := 0
	handler := func(*message.Message) ([]*message.Message, error) {
		if attempts++; attempts < 3 {
			return nil, errors.New("the warehouse does not answer")
		}
		fmt.Println("shipped at attempt", attempts)
		stop()
		return nil, nil
	}
	retry := middleware.Retry{
		MaxAttempts: 10, Initial: time.Millisecond,
		OnRetry: func(e middleware.RetryEvent) { fmt.Println("attempt", e.Attempt, "failed:", e.Err) },
	}
	retried := retry.Middleware(handler)
	group := durable.Group{Name: "shipping", Topics: durable.Topics("orders")}
	err = durable.Process(ctx, backend, group, func(msg *message.Message) error {
		_, err := retried(msg)
		return err
	}, durable.ProcessOptions{Logger: silent})
	fmt.Println(err)
	// Output:
	// attempt 1 failed: the warehouse does not answer
	// attempt 2 failed: the warehouse does not answer
	// shipped at attempt 3
	// <nil>
}

func ExamplePermanent_whichErrorsAreNotRetried() {
	retry := middleware.Retry{Classify: func(err error) middleware.Class {
		if errors.Is(err, context.DeadlineExceeded) {
			return middleware.ClassPermanent
		}
		return middleware.ClassOf(err)
	}}
	for _, err := range []error{
		middleware.Permanent(errors.New("no such customer")),
		middleware.Skip(errors.New("a test order")),
		context.DeadlineExceeded,
	} {
		handler := retry.Middleware(func(*message.Message) ([]*message.Message, error) { return nil, err })
		_, got := handler(message.NewMessage("1", nil))
		fmt.Println(got)
	}
	// Output:
	// permanent: no such customer
	// <nil>
	// permanent: context deadline exceeded
}

func ExampleTimeout_howDoIBoundAHandler() {
	slow := func(msg *message.Message) ([]*message.Message, error) {
		<-msg.Context().Done()
		return nil, msg.Context().Err()
	}
	handler := middleware.Timeout{After: time.Millisecond}.Middleware(slow)
	_, err := handler(message.NewMessage("1", nil))
	fmt.Println(err)
	// Output:
	// timeout after 1ms: context deadline exceeded
}

func ExampleRecover_howDoISurviveAPanic() {
	handler := middleware.Recover{Logger: silent}.Middleware(func(*message.Message) ([]*message.Message, error) {
		panic("index out of range")
	})
	_, err := handler(message.NewMessage("1", nil))
	fmt.Println(err)
	// Output:
	// handler panicked: index out of range
}
