package otel

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	api "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/dualstream/dualstream/realtime"
)

const (
	scope     = "github.com/dualstream/dualstream/middleware/otel"
	mostLinks = 128 // what SDKs keep by default
)

// Attributes of the semantic conventions for messaging.
const (
	attrSystem        = attribute.Key("messaging.system")
	attrOperation     = attribute.Key("messaging.operation.name")
	attrOperationType = attribute.Key("messaging.operation.type")
	attrDestination   = attribute.Key("messaging.destination.name")
	attrPartition     = attribute.Key("messaging.destination.partition.id")
	attrGroup         = attribute.Key("messaging.consumer.group.name")
	attrMessageID     = attribute.Key("messaging.message.id")
	attrBodySize      = attribute.Key("messaging.message.body.size")
	attrBatch         = attribute.Key("messaging.batch.message_count")
	attrErrorType     = attribute.Key("error.type")

	attrPosition = attribute.Key("dualstream.position")
	attrAttempt  = attribute.Key("dualstream.attempt")
)

// Options configure Telemetry. The zero value takes the defaults.
type Options struct {
	// TracerProvider makes spans. Defaults to the global one.
	TracerProvider trace.TracerProvider
	// MeterProvider counts. Defaults to the global one.
	MeterProvider metric.MeterProvider
	// Propagator writes and reads the trace context. Defaults to W3C trace context and baggage.
	Propagator propagation.TextMapPropagator
	// Links has the span that processes an event begin a trace of its own, linked to what the event carries, instead of
	// being its child.
	Links bool
}

// Telemetry makes spans and counts. All methods are safe for concurrent use.
type Telemetry struct {
	tracer     trace.Tracer
	propagator propagation.TextMapPropagator
	links      bool

	sent      metric.Int64Counter
	consumed  metric.Int64Counter
	operation metric.Float64Histogram
	process   metric.Float64Histogram
}

// New makes the instruments. The error is that of the MeterProvider.
func New(o Options) (*Telemetry, error) {
	if o.TracerProvider == nil {
		o.TracerProvider = api.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = api.GetMeterProvider()
	}
	if o.Propagator == nil {
		o.Propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	}
	t := &Telemetry{tracer: o.TracerProvider.Tracer(scope), propagator: o.Propagator, links: o.Links}
	if err := t.instruments(o.MeterProvider.Meter(scope)); err != nil {
		return nil, fmt.Errorf("otel: %w", err)
	}
	return t, nil
}

func (t *Telemetry) instruments(m metric.Meter) (err error) {
	t.sent, err = m.Int64Counter("messaging.client.sent.messages", metric.WithUnit("{message}"),
		metric.WithDescription("Number of messages producer attempted to send to the broker."))
	if err != nil {
		return err
	}
	t.consumed, err = m.Int64Counter("messaging.client.consumed.messages", metric.WithUnit("{message}"),
		metric.WithDescription("Number of messages that were delivered to the application."))
	if err != nil {
		return err
	}
	buckets := metric.WithExplicitBucketBoundaries(.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
	t.operation, err = m.Float64Histogram("messaging.client.operation.duration", metric.WithUnit("s"), buckets,
		metric.WithDescription("Duration of messaging operation initiated by a producer or consumer client."))
	if err != nil {
		return err
	}
	t.process, err = m.Float64Histogram("messaging.process.duration", metric.WithUnit("s"), buckets,
		metric.WithDescription("Duration of processing operation."))
	return err
}

// Metadata is the trace context of ctx as metadata of an event, nil where there is none; for dual.Options.Metadata.
func (t *Telemetry) Metadata(ctx context.Context) map[string]string {
	out := propagation.MapCarrier{}
	t.propagator.Inject(ctx, out)
	if len(out) == 0 {
		return nil
	}
	return out
}

// Extract is ctx with the trace context that msg carries.
func (t *Telemetry) Extract(ctx context.Context, msg *message.Message) context.Context {
	return t.propagator.Extract(ctx, propagation.MapCarrier(msg.Metadata))
}

// ExtractNotification is ctx with the trace context that n carries.
func (t *Telemetry) ExtractNotification(ctx context.Context, n realtime.Notification) context.Context {
	return t.propagator.Extract(ctx, propagation.MapCarrier{"traceparent": n.TraceParent})
}

// carried is the span that msg names, not valid where it names none.
func (t *Telemetry) carried(msg *message.Message) trace.SpanContext {
	if msg == nil || len(msg.Metadata) == 0 {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(t.Extract(context.Background(), msg))
}

// link adds one to links unless there are too many or sc is none.
func link(links []trace.Link, sc trace.SpanContext) []trace.Link {
	if !sc.IsValid() || len(links) >= mostLinks {
		return links
	}
	return append(links, trace.Link{SpanContext: sc})
}

// system is the name of a backend as the conventions have it.
func system(backend string) string {
	switch backend {
	case "redisstream", "redispubsub":
		return "redis"
	default:
		return backend
	}
}

func seconds(since time.Time) float64 { return time.Since(since).Seconds() }
