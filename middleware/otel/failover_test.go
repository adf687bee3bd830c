package otel_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"
	"github.com/vmihailenco/msgpack"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/middleware/otel"
	"github.com/dualstream/dualstream/realtime"
)

// falling is a wrapper for dual.Options.Append: while a backend is unavailable, what it did not store goes to spare. What
// spare stores has no position in the backend.
func falling(spare durable.Backend) func(durable.Backend) durable.Backend {
	return func(b durable.Backend) durable.Backend {
		return middleware.WrapAppend(b, func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
			positions, err := b.Append(ctx, topic, msgs...)
			if !errors.Is(err, durable.ErrUnavailable) {
				return positions, err
			}
			_, err = spare.Append(ctx, topic, msgs...)
			return make([]durable.Position, len(msgs)), err
		})
	}
}

// cutKafka is a backend whose broker cannot be reached from now on. Its connections led through a proxy.
func cutKafka(t *testing.T, topic string) durable.Backend {
	t.Helper()
	cluster := testenv.StartKafka(t, testenv.KafkaOptions{Proxied: true})
	b, err := kafka.Open(t.Context(), kafka.Config{Brokers: cluster.Brokers(), AppendTimeout: 2 * time.Second, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	if err := b.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	testenv.Await(t, patience, func() bool { // longer than one append may take
		_, err := b.Append(t.Context(), topic, event(t, "before"))
		return err == nil
	}, "an append before the cut")
	cluster.Node(1).Proxy().Cut()
	return b
}

// stored is the metadata of the only entry of a stream, as Redis has it.
func stored(t *testing.T, addr, stream string) (metadata map[string]string) {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = c.Close() }()
	entries, err := c.XRange(t.Context(), stream, "-", "+").Result()
	if err != nil || len(entries) != 1 {
		t.Fatalf("entries of %s: got %d, %v, want 1", stream, len(entries), err)
	}
	packed, _ := entries[0].Values["metadata"].(string)
	if err := msgpack.Unmarshal([]byte(packed), &metadata); err != nil {
		t.Fatalf("metadata of %v: %v", entries[0].Values, err)
	}
	return metadata
}

func TestTheTraceSurvivesAFailover(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "trace")
	spare, err := redisstream.Open(t.Context(), redisstream.Config{Connection: redisstream.Connection{Addr: addr}, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spare.Close(context.Background()) })
	bus, err := memory.NewRealtime(memory.RealtimeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bus.Close(context.Background()) })
	live, err := bus.Subscribe(t.Context(), realtime.Channel("order", "42"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = live.Close() })

	l, primary := newLab(t, otel.Options{}), cutKafka(t, topic)
	publisher, err := dual.New(primary, bus, dual.Options{
		Topic: topic, Metadata: l.Metadata, Logger: silent,
		Append: []func(durable.Backend) durable.Backend{l.Append, falling(l.Append(spare))},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = publisher.Close(context.Background()) })
	ctx, request := l.tracer.Start(t.Context(), "POST /orders")
	receipts, err := publisher.Publish(ctx, durable.Event{ID: "1", Type: "x", SourceType: "order", SourceID: "42"})
	request.End()
	if err != nil || receipts[0].Position != "" {
		t.Fatalf("publish: receipts %+v, %v, want one without a position", receipts, err)
	}

	parent := l.Metadata(ctx)["traceparent"]
	if got := stored(t, addr, topic)["traceparent"]; got != parent || !strings.Contains(parent, request.SpanContext().SpanID().String()) {
		t.Errorf("the entry in Redis has the traceparent %q, want that of the request, %q", got, parent)
	}
	signal, err := live.Next(t.Context())
	if n := signal.Notification; err != nil || n.TraceParent != parent || n.Position != "" {
		t.Errorf("notification %+v, %v, want the traceparent %q and no position", n, err, parent)
	}
	g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)}
	h := l.Consumer(spare, g).Middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil })
	process(t, spare, g, func(m *message.Message) error { _, err := h(m); return err },
		func() bool { return len(l.named("process "+topic)) == 1 })
	if got := l.one(t, "process "+topic); got.Parent().SpanID() != request.SpanContext().SpanID() || got.SpanContext().TraceID() != request.SpanContext().TraceID() {
		t.Errorf("the span of the handler has the parent %v, want %v", got.Parent(), request.SpanContext())
	}
	for _, s := range l.named("send " + topic) { // of the publisher, and of what went to Redis
		if links := s.Links(); len(links) != 1 || links[0].SpanContext.SpanID() != request.SpanContext().SpanID() {
			t.Errorf("%v: links %v, want the request", attributes(s), links)
		}
	}
}
