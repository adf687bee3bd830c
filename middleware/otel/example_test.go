package otel_test

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/middleware/otel"
)

// How do I follow an event from the publisher to the handler?
func ExampleTelemetry_howDoIFollowAnEvent() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	provider := sdktrace.NewTracerProvider() // with an exporter in a program
	telemetry, err := otel.New(otel.Options{TracerProvider: provider})
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := memory.New(memory.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, request := provider.Tracer("shop").Start(ctx, "POST /orders")
	msg, _ := durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"}.Message("")
	if _, err := telemetry.Append(store).Append(ctx, "orders", msg); err != nil {
		fmt.Println(err)
		return
	}
	request.End()

	group := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	handler, err := middleware.Stack{Tracing: telemetry.Consumer(store, group)}.Handler(
		func(msg *message.Message) ([]*message.Message, error) {
			span := trace.SpanContextFromContext(msg.Context())
			fmt.Println("the same trace:", span.TraceID() == request.SpanContext().TraceID())
			stop()
			return nil, nil
		})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := durable.Process(ctx, store, group, handler, durable.ProcessOptions{}); err != nil {
		fmt.Println(err)
	}
	// Output: the same trace: true
}
