package otel_test

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware/otel"
)

// How does a file turn tracing on? By the section tracing, of which the program has the opener.
func ExampleOpener_howDoesAFileTurnTracingOn() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	provider := sdktrace.NewTracerProvider() // with an exporter in a program; zero Options take the global one
	openers := adapters.All()
	openers.Middleware["tracing"] = otel.Opener(otel.Options{TracerProvider: provider})
	cfg, err := dual.Parse("example.yaml", []byte("durable: { backend: memory }\ntracing: {}\nretry: {}\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	stack, err := dual.Open(ctx, cfg, openers)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = stack.Close(context.Background()) }()

	ctx, request := provider.Tracer("shop").Start(ctx, "POST /orders")
	defer request.End()
	if _, err := stack.Publisher.Publish(ctx, durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"}); err != nil {
		fmt.Println(err)
		return
	}
	group := stack.Group("billing")
	handler := stack.HandleEvent("billing", func(ctx context.Context, _ durable.Event) error {
		fmt.Println("the same trace:", trace.SpanContextFromContext(ctx).TraceID() == request.SpanContext().TraceID())
		stop()
		return nil
	})
	if err := durable.Process(ctx, stack.Durable, group, handler, stack.ProcessOf(group)); err != nil {
		fmt.Println(err)
	}
	// Output: the same trace: true
}
