package otel_test

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware/otel"
)

func TestTheTraceSurvivesEveryBroker(t *testing.T) {
	for name, open := range map[string]func() (durable.Backend, error){
		"redisstream": func() (durable.Backend, error) {
			return redisstream.Open(t.Context(), redisstream.Config{Connection: redisstream.Connection{Addr: testenv.Redis(t)}, Logger: silent})
		},
		"kafka": func() (durable.Backend, error) {
			return kafka.Open(t.Context(), kafka.Config{Brokers: testenv.Kafka(t), Logger: silent})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = b.Close(context.Background()) }()
			l, topic := newLab(t, otel.Options{}), testenv.Name(t, "trace")
			g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)}
			if err := b.(durable.Administrator).CreateTopic(t.Context(), durable.TopicSpec{Name: topic}); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Append(b).Append(t.Context(), topic, event(t, "1"), event(t, "2")); err != nil {
				t.Fatal(err)
			}
			h := l.Consumer(b, g).Middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil })
			process(t, l.Receive(b), g, func(m *message.Message) error { _, err := h(m); return err },
				func() bool { return len(l.named("process "+topic)) == 2 })
			for _, span := range l.named("process " + topic) {
				if span.Parent().SpanID() != l.one(t, "send "+topic).SpanContext().SpanID() {
					t.Errorf("got the parent %v, want the span that sent it", span.Parent())
				}
			}
		})
	}
}

func TestMetricsAreNamedByTheConventions(t *testing.T) {
	l, store := newLab(t, otel.Options{}), newMemory(t)
	if _, err := l.Append(store).Append(t.Context(), "orders", event(t, "1"), event(t, "2")); err != nil {
		t.Fatal(err)
	}
	g := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	h := l.Consumer(store, g).Middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil })
	process(t, l.Receive(store), g, func(m *message.Message) error { _, err := h(m); return err },
		func() bool { return len(l.named("process orders")) == 2 })
	var data metricdata.ResourceMetrics
	if err := l.reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, m := range data.ScopeMetrics[0].Metrics {
		switch d := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range d.DataPoints {
				got[m.Name] += uint64(p.Value)
			}
		case metricdata.Histogram[float64]:
			for _, p := range d.DataPoints {
				got[m.Name] += p.Count
				for _, a := range p.Attributes.ToSlice() {
					if a.Key == "messaging.message.id" || a.Key == "dualstream.position" {
						t.Errorf("%s has the attribute %s, of which there is no end", m.Name, a.Key)
					}
				}
			}
		}
	}
	for name, least := range map[string]uint64{
		"messaging.client.sent.messages": 2, "messaging.client.consumed.messages": 2, "messaging.client.operation.duration": 2,
		"messaging.process.duration": 2,
	} {
		if got[name] < least {
			t.Errorf("%s: got %d, want at least %d", name, got[name], least)
		}
	}
}
