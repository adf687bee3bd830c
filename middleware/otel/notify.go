package otel

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/realtime"
)

// Notify has a producer span for every call of b's Notify, linked to what its notifications carry. Their channels are
// not named: there is one for every source.
func (t *Telemetry) Notify(b realtime.Backend) realtime.Backend {
	name := system(b.Capabilities().Backend)
	return middleware.WrapNotify(b, func(ctx context.Context, ns ...realtime.Notification) error {
		if len(ns) == 0 {
			return b.Notify(ctx)
		}
		begin := time.Now()
		attrs := []attribute.KeyValue{attrSystem.String(name), attrOperation.String("notify")}
		var links []trace.Link
		for _, n := range ns {
			if len(links) < mostLinks && n.TraceParent != "" {
				links = link(links, trace.SpanContextFromContext(t.ExtractNotification(context.Background(), n)))
			}
		}
		ctx, span := t.tracer.Start(ctx, "notify", trace.WithSpanKind(trace.SpanKindProducer), trace.WithLinks(links...),
			trace.WithAttributes(attrs...), trace.WithAttributes(attrOperationType.String("send"), attrBatch.Int(len(ns))))
		defer span.End()
		err := b.Notify(ctx, ns...)
		if err != nil {
			attrs = append(attrs, failed(span, err, errorType(err)))
		}
		set := metric.WithAttributes(attrs...)
		t.sent.Add(ctx, int64(len(ns)), set)
		t.operation.Record(ctx, seconds(begin), set)
		return err
	})
}
