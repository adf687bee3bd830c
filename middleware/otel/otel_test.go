package otel_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/middleware/otel"
	"github.com/dualstream/dualstream/realtime"
)

func TestOneTraceLeadsFromThePublisherToHandlerAndListener(t *testing.T) {
	l, store := newLab(t, otel.Options{}), newMemory(t)
	bus, err := memory.NewRealtime(memory.RealtimeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bus.Close(context.Background()) }()
	p, err := dual.New(store, bus, dual.Options{
		Topic: "orders", Metadata: l.Metadata, Logger: silent,
		Append: []func(durable.Backend) durable.Backend{l.Append},
		Notify: []func(realtime.Backend) realtime.Backend{l.Notify},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := bus.Subscribe(t.Context(), "events:order:42")
	if err != nil {
		t.Fatal(err)
	}
	ctx, caller := l.tracer.Start(t.Context(), "request")
	if _, err := p.Publish(ctx, durable.Event{ID: "1", Type: "x", SourceType: "order", SourceID: "42"}); err != nil {
		t.Fatal(err)
	}
	caller.End()
	signal, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	heard := trace.SpanContextFromContext(l.ExtractNotification(t.Context(), signal.Notification))
	if heard.SpanID() != caller.SpanContext().SpanID() {
		t.Errorf("the notification carries %v, want the caller's %v", heard, caller.SpanContext())
	}
	g := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	var inside atomic.Value
	h, err := middleware.Stack{Tracing: l.Consumer(store, g)}.Handler(func(msg *message.Message) ([]*message.Message, error) {
		inside.Store(trace.SpanContextFromContext(msg.Context()))
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	process(t, l.Receive(store), g, h, func() bool { return inside.Load() != nil })
	if err := errors.Join(p.Close(t.Context()), s.Close()); err != nil {
		t.Error(err)
	}
	send, handled, poll, notify := l.one(t, "send orders"), l.one(t, "process orders"), l.one(t, "poll orders"), l.one(t, "notify")
	if handled.Parent().SpanID() != caller.SpanContext().SpanID() || handled.SpanContext().SpanID() != inside.Load().(trace.SpanContext).SpanID() {
		t.Errorf("process: parent %v, want the caller; the handler saw %v", handled.Parent(), inside.Load())
	}
	if send.SpanKind() != trace.SpanKindProducer || handled.SpanKind() != trace.SpanKindConsumer || poll.SpanKind() != trace.SpanKindClient {
		t.Errorf("kinds: %v, %v, %v", send.SpanKind(), handled.SpanKind(), poll.SpanKind())
	}
	for name, span := range map[string]sdktrace.ReadOnlySpan{"send": send, "poll": poll, "notify": notify} {
		if links := span.Links(); len(links) != 1 || links[0].SpanContext.SpanID() != caller.SpanContext().SpanID() {
			t.Errorf("%s: got the links %v, want the caller", name, links)
		}
	}
	got := attributes(handled)
	for key, want := range map[attribute.Key]string{
		"messaging.system": "memory", "messaging.operation.name": "process", "messaging.operation.type": "process",
		"messaging.destination.name": "orders", "messaging.destination.partition.id": "0", "messaging.consumer.group.name": "billing",
		"messaging.message.id": "1", "messaging.message.body.size": "0", "dualstream.attempt": "1",
	} {
		if got[key] != want {
			t.Errorf("process: %s is %q, want %q", key, got[key], want)
		}
	}
}

func TestABatchIsSentAsCopiesThatCarryItsSpan(t *testing.T) {
	l, store := newLab(t, otel.Options{}), newMemory(t)
	own := event(t, "2")
	own.Metadata["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	msgs := []*message.Message{event(t, "1"), own, event(t, "3")}
	if _, err := l.Append(store).Append(t.Context(), "orders", msgs...); err != nil {
		t.Fatal(err)
	}
	send := l.one(t, "send orders")
	if links := send.Links(); len(links) != 1 || links[0].SpanContext.SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("links: got %v, want that of the message that carries one", links)
	}
	if got := attributes(send)["messaging.batch.message_count"]; got != "3" {
		t.Errorf("batch: got %q, want 3", got)
	}
	i := 0
	for r, err := range store.Replay(t.Context(), "orders", durable.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		want := send.SpanContext().SpanID().String()
		if i == 1 {
			want = "b7ad6b7169203331"
		}
		if got := r.Message.Metadata["traceparent"]; !strings.Contains(got, want) {
			t.Errorf("message %d carries %q, want %s", i, got, want)
		}
		i++
	}
	for _, k := range []int{0, 2} {
		if _, changed := msgs[k].Metadata["traceparent"]; changed {
			t.Errorf("the caller's message %d was changed", k)
		}
	}
}

func TestWithoutTracingNothingIsCarried(t *testing.T) {
	telemetry, err := otel.New(otel.Options{TracerProvider: noop.NewTracerProvider()})
	if err != nil {
		t.Fatal(err)
	}
	store := newMemory(t)
	if _, err := telemetry.Append(store).Append(t.Context(), "orders", event(t, "1")); err != nil {
		t.Fatal(err)
	}
	for r, err := range store.Replay(t.Context(), "orders", durable.Range{}) {
		if _, there := r.Message.Metadata["traceparent"]; there || err != nil {
			t.Errorf("got %v, %v, want no traceparent", r.Message.Metadata, err)
		}
	}
	if got := telemetry.Metadata(t.Context()); got != nil {
		t.Errorf("Metadata: got %v, want nil", got)
	}
}

func TestEveryAttemptHasASpanWithItsOutcome(t *testing.T) {
	l, store := newLab(t, otel.Options{Links: true}), newMemory(t)
	msg := event(t, "1")
	msg.Metadata["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if _, err := store.Append(t.Context(), "orders", msg); err != nil {
		t.Fatal(err)
	}
	g := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	runs := 0
	h := l.Consumer(store, g).Middleware(func(*message.Message) ([]*message.Message, error) {
		switch runs++; runs {
		case 1:
			return nil, durable.RetryAfter(errHandler, 0)
		case 2:
			return nil, middleware.Busy(errHandler, time.Millisecond)
		case 3:
			panic("third")
		}
		return nil, nil
	})
	process(t, store, g, func(m *message.Message) error { _, err := h(m); return err },
		func() bool { return len(l.named("process orders")) == 4 })
	for i, want := range []struct {
		status codes.Code
		kind   string
	}{{codes.Error, "retryable"}, {codes.Unset, ""}, {codes.Error, "panic"}, {codes.Unset, ""}} {
		span := l.named("process orders")[i]
		if span.Status().Code != want.status || attributes(span)["error.type"] != want.kind {
			t.Errorf("attempt %d: got %v %q, want %v %q", i, span.Status(), attributes(span)["error.type"], want.status, want.kind)
		}
		if links := span.Links(); span.Parent().IsValid() || len(links) != 1 || links[0].SpanContext.SpanID().String() != "b7ad6b7169203331" {
			t.Errorf("attempt %d: got the parent %v and the links %v, want a trace of its own that is linked", i, span.Parent(), links)
		}
	}
}

func TestThePoisonTopicKeepsTheTrace(t *testing.T) {
	l, store := newLab(t, otel.Options{}), newMemory(t)
	if _, err := l.Append(store).Append(t.Context(), "orders", event(t, "1")); err != nil {
		t.Fatal(err)
	}
	g := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	var poisoned atomic.Bool
	h, err := middleware.Stack{
		Tracing: l.Consumer(store, g),
		Poison: &middleware.Poison{
			Backend: l.Append(store), Logger: silent, OnPoison: func(middleware.PoisonEvent) { poisoned.Store(true) },
		},
	}.Handler(func(*message.Message) ([]*message.Message, error) { return nil, middleware.Permanent(errHandler) })
	if err != nil {
		t.Fatal(err)
	}
	process(t, store, g, h, poisoned.Load)
	want := l.one(t, "send orders").SpanContext()
	for r, err := range store.Replay(t.Context(), "orders.poison", durable.Range{}) {
		if err != nil || !strings.Contains(r.Message.Metadata["traceparent"], want.SpanID().String()) {
			t.Errorf("got %q, %v, want the span that sent the event, %s", r.Message.Metadata["traceparent"], err, want.SpanID())
		}
	}
	if parent := l.one(t, "send orders.poison").Parent(); parent.TraceID() != want.TraceID() {
		t.Errorf("the poison write is in the trace %v, want %v", parent.TraceID(), want.TraceID())
	}
}
