package otel

import (
	"context"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// Append has a producer span for every call of b's Append, linked to what its messages carry. Messages that carry
// nothing are sent as copies that carry the span.
func (t *Telemetry) Append(b durable.Backend) durable.Backend {
	name := attrSystem.String(system(b.Capabilities().Backend))
	return middleware.WrapAppend(b, func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		if len(msgs) == 0 {
			return b.Append(ctx, topic)
		}
		begin := time.Now()
		attrs := []attribute.KeyValue{name, attrOperation.String("send"), attrDestination.String(topic)}
		ctx, span := t.startSend(ctx, topic, attrs, msgs)
		defer span.End()
		positions, err := b.Append(ctx, topic, t.carrying(ctx, msgs)...)
		if err != nil {
			attrs = append(attrs, failed(span, err, errorType(err)))
		}
		if len(positions) == 1 && positions[0] != "" {
			span.SetAttributes(attrPosition.String(string(positions[0])))
		}
		set := metric.WithAttributes(attrs...)
		t.sent.Add(ctx, int64(len(msgs)), set)
		t.operation.Record(ctx, seconds(begin), set)
		return positions, err
	})
}

func (t *Telemetry) startSend(ctx context.Context, topic string, attrs []attribute.KeyValue, msgs []*message.Message) (context.Context, trace.Span) {
	more := append(slices.Clone(attrs), attrOperationType.String("send"))
	if len(msgs) == 1 {
		more = append(more, messageAttributes(msgs[0])...)
	} else {
		more = append(more, attrBatch.Int(len(msgs)))
	}
	var links []trace.Link
	for _, m := range msgs {
		links = link(links, t.carried(m))
	}
	return t.tracer.Start(ctx, "send "+topic, trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(more...), trace.WithLinks(links...))
}

// messageAttributes tell one message.
func messageAttributes(m *message.Message) []attribute.KeyValue {
	if m == nil {
		return nil
	}
	id := durable.Attributes(m)[durable.MetaID]
	if id == "" {
		id = m.UUID
	}
	return []attribute.KeyValue{attrMessageID.String(id), attrBodySize.Int(len(m.Payload))}
}

// carrying is msgs with copies of those that carry no trace context, which carry that of ctx.
func (t *Telemetry) carrying(ctx context.Context, msgs []*message.Message) []*message.Message {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return msgs
	}
	out := msgs
	for i, m := range msgs {
		if m == nil || t.carried(m).IsValid() {
			continue
		}
		if &out[0] == &msgs[0] {
			out = append([]*message.Message(nil), msgs...)
		}
		c := message.NewMessage(m.UUID, m.Payload)
		c.Metadata = make(message.Metadata, len(m.Metadata)+3)
		for k, v := range m.Metadata {
			c.Metadata[k] = v
		}
		t.propagator.Inject(ctx, propagation.MapCarrier(c.Metadata))
		c.SetContext(m.Context())
		out[i] = c
	}
	return out
}

// failed marks span as failed with err of a class, and returns the attribute for metrics.
func failed(span trace.Span, err error, class string) attribute.KeyValue {
	kind := attrErrorType.String(class)
	span.SetStatus(codes.Error, err.Error())
	span.SetAttributes(kind)
	return kind
}

// errorType is the class of an error of a backend, as the conventions name one of which nothing is known.
func errorType(err error) string {
	if class := middleware.ErrorClass(err); class != "" {
		return class
	}
	return "_OTHER"
}
