package otel_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/middleware/otel"
)

// onBackends runs f on memory, on a Redis server and on a Kafka broker.
func onBackends(t *testing.T, f func(t *testing.T, b durable.Backend)) {
	for name, open := range map[string]func(t *testing.T) (durable.Backend, error){
		"memory": func(*testing.T) (durable.Backend, error) { return memory.New(memory.Config{Logger: silent}) },
		"redisstream": func(t *testing.T) (durable.Backend, error) {
			return redisstream.Open(t.Context(), redisstream.Config{Connection: redisstream.Connection{Addr: testenv.Redis(t)}, Logger: silent})
		},
		"kafka": func(t *testing.T) (durable.Backend, error) {
			return kafka.Open(t.Context(), kafka.Config{Brokers: testenv.Kafka(t), Logger: silent})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close(context.Background()) })
			f(t, b)
		})
	}
}

func TestOneTraceLeadsThroughRetryTierPoisonAndRedrive(t *testing.T) {
	onBackends(t, func(t *testing.T, b durable.Backend) {
		l, topic := newLab(t, otel.Options{}), testenv.Name(t, "trace")
		tiers := &middleware.Tiers{Backend: l.Append(b), Delays: []time.Duration{time.Millisecond}, Logger: silent}
		g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(append(tiers.Topics(topic), topic)...)}
		for _, start := range g.Topics {
			if err := b.(durable.Administrator).CreateTopic(t.Context(), durable.TopicSpec{Name: start.Topic}); err != nil {
				t.Fatal(err)
			}
		}
		msg := event(t, "1")
		const state = "vendor=opaque"
		msg.Metadata["traceparent"], msg.Metadata["tracestate"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", state
		if _, err := l.Append(b).Append(t.Context(), topic, msg); err != nil {
			t.Fatal(err)
		}
		var repaired, poisoned, handled atomic.Bool
		h, err := middleware.Stack{
			Tracing: l.Consumer(b, g), Tiers: tiers, Retry: &middleware.Retry{MaxAttempts: 1},
			Poison: &middleware.Poison{Backend: l.Append(b), Logger: silent, OnPoison: func(middleware.PoisonEvent) { poisoned.Store(true) }},
		}.Handler(func(m *message.Message) ([]*message.Message, error) {
			if !repaired.Load() {
				return nil, errHandler
			}
			if m.Metadata["tracestate"] != state || !strings.Contains(m.Metadata["traceparent"], "b7ad6b7169203331") {
				t.Errorf("metadata of the redriven event: %v", m.Metadata)
			}
			handled.Store(true)
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		process(t, b, g, h, poisoned.Load)
		repaired.Store(true)
		report, err := middleware.Redrive{Backend: l.Append(b), Topic: topic + ".poison"}.Run(t.Context())
		if err != nil || report.Moved != 1 {
			t.Fatalf("redrive: %+v, %v", report, err)
		}
		process(t, b, g, h, handled.Load)
		const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
		for name, n := range map[string]int{"process " + topic: 2, "process " + tiers.Topics(topic)[0]: 1} {
			spans := l.named(name)
			if len(spans) < n { // one that is not due yet has a span too
				t.Errorf("%s: got %d spans, want at least %d", name, len(spans), n)
			}
			for _, s := range spans {
				if s.SpanContext().TraceID().String() != trace || s.Parent().SpanID().String() != parent {
					t.Errorf("%s: trace %s, parent %s, want %s, %s", name, s.SpanContext().TraceID(), s.Parent().SpanID(), trace, parent)
				}
			}
		}
		for _, s := range append(l.named("send "+topic), l.named("send "+topic+".poison")...) {
			if links := s.Links(); len(links) != 1 || links[0].SpanContext.SpanID().String() != parent {
				t.Errorf("%s: links %v, want the event's own", s.Name(), links)
			}
		}
	})
}
