package otel_test

import (
	"context"
	"maps"
	"testing"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware/otel"
	"github.com/dualstream/dualstream/middleware/prometheus"
)

// opened is the stack of a file that may have the sections metrics and tracing, and what records its spans.
func opened(t *testing.T, text string, with ...func(*dual.Options)) (*dual.Stack, *lab) {
	t.Helper()
	cfg, err := dual.Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(l.spans))
	l.tracer = provider.Tracer("test")
	openers := adapters.All()
	openers.Middleware["metrics"] = prometheus.Opener(prometheus.Options{Registerer: prom.NewPedanticRegistry()})
	openers.Middleware["tracing"] = otel.Opener(otel.Options{
		TracerProvider: provider, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(l.reader)),
	})
	with = append([]func(*dual.Options){func(o *dual.Options) { o.Logger = silent }}, with...)
	s, err := dual.Open(t.Context(), cfg, openers, with...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s, l
}

// handleOne publishes an event in ctx and handles it, and returns the context of its handler.
func handleOne(ctx context.Context, t *testing.T, s *dual.Stack, topic string, l *lab) context.Context {
	t.Helper()
	if _, err := s.Publisher.Publish(ctx, durable.Event{ID: "1", Type: "order.created", SourceType: "order", SourceID: "42"}); err != nil {
		t.Fatal(err)
	}
	group := s.Group(testenv.Name(t, "g"))
	handled := make(chan context.Context, 1)
	h := s.HandleEvent(group.Name, func(ctx context.Context, _ durable.Event) error { handled <- ctx; return nil })
	process(t, s.Durable, group, h, func() bool { return len(l.named("process "+topic)) == 1 })
	return <-handled
}

func TestAFileBuildsTheWholeDefaultStackOnAnyBackend(t *testing.T) {
	for name, section := range map[string]func() string{
		"memory": func() string { return "{ backend: memory }" },
		"redis":  func() string { return "{ backend: redisstream, redisstream: { addr: '" + testenv.Redis(t) + "' } }" },
		"kafka":  func() string { return "{ backend: kafka, kafka: { brokers: '" + testenv.Kafka(t)[0] + "' } }" },
	} {
		t.Run(name, func(t *testing.T) {
			topic := testenv.Name(t, "orders")
			s, l := opened(t, "durable: "+section()+"\nrealtime: { backend: memory }\npublish: { topic: "+topic+" }\n"+
				"topics: { "+topic+": { partitions: 1 } }\nmetrics: {}\ntracing: {}\npoison: {}\nretry: {}\ndedupe: {}\ntimeout: {}\n")
			heard, err := s.Realtime.Subscribe(t.Context(), "events:order:42")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = heard.Close() }()
			ctx, root := l.tracer.Start(t.Context(), "request")
			handling := handleOne(ctx, t, s, topic, l)
			root.End()
			if _, ok := handling.Deadline(); !ok {
				t.Error("the handler has no deadline: timeout is missing")
			}
			of := root.SpanContext().TraceID()
			if got := trace.SpanContextFromContext(handling).TraceID(); got != of {
				t.Errorf("the handler is in the trace %s, want that of the publisher, %s", got, of)
			}
			if got := l.one(t, "process "+topic).Parent().SpanID(); got != root.SpanContext().SpanID() {
				t.Errorf("process: got the parent %s, want the span of the caller", got)
			}
			if got := l.one(t, "send "+topic).SpanContext().TraceID(); got != of {
				t.Errorf("send: got the trace %s, want %s", got, of)
			}
			if polls := l.named("poll " + topic); len(polls) != 1 || len(polls[0].Links()) != 1 || polls[0].Links()[0].SpanContext.TraceID() != of {
				t.Errorf("polls: got %d, want one that is linked to the event", len(polls))
			}
			e, err := heard.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			carried := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": e.Notification.TraceParent})
			if got := trace.SpanContextFromContext(carried).TraceID(); got != of {
				t.Errorf("the notification carries %q, want the trace %s", e.Notification.TraceParent, of)
			}
			testenv.Await(t, patience, func() bool { return len(l.named("notify")) == 1 }, "the notification has a span")
		})
	}
}

func TestTheSectionTracingMayLinkInsteadOfParent(t *testing.T) {
	s, l := opened(t, "durable: { backend: memory }\npublish: { topic: orders }\ntracing: { links: true }\n")
	ctx, root := l.tracer.Start(t.Context(), "request")
	handleOne(ctx, t, s, "orders", l)
	root.End()
	span := l.one(t, "process orders")
	if span.Parent().IsValid() || len(span.Links()) != 1 || span.Links()[0].SpanContext.SpanID() != root.SpanContext().SpanID() {
		t.Errorf("got the parent %v and %d links, want a trace of its own, linked to the caller", span.Parent(), len(span.Links()))
	}
}

func TestMetadataOfTheProgramGoBeforeThoseOfTracing(t *testing.T) {
	own := map[string]string{"tenant": "7", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	before := maps.Clone(own)
	s, l := opened(t, "durable: { backend: memory }\npublish: { topic: orders }\ntracing: {}\n", func(o *dual.Options) {
		o.Metadata = func(context.Context) map[string]string { return own }
	})
	ctx, root := l.tracer.Start(t.Context(), "request")
	defer root.End()
	handling := handleOne(ctx, t, s, "orders", l)
	d, _ := durable.DeliveryOf(handling)
	for k, v := range before {
		if got := d.Message.Metadata[k]; got != v {
			t.Errorf("metadata %s: got %q, want the program's own %q", k, got, v)
		}
	}
	if !maps.Equal(own, before) {
		t.Errorf("the program's metadata were changed: %v", own)
	}
}

func TestTheTracedBackendOfAStackKeepsItsAbilities(t *testing.T) {
	s, _ := opened(t, "durable: { backend: memory }\npublish: { topic: orders }\ntopics: { orders: { partitions: 3 } }\ntracing: {}\n")
	info, err := s.Durable.(durable.Administrator).DescribeTopic(t.Context(), "orders")
	if err != nil || len(info.Partitions) != 3 {
		t.Errorf("got %d partitions, %v, want 3", len(info.Partitions), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := s.Health(ctx); err != nil {
		t.Errorf("health: %v", err)
	}
	if place := otel.Opener(otel.Options{}).Place; place != adapters.PlaceTracing {
		t.Errorf("place %d, want %d", place, adapters.PlaceTracing)
	}
}
