package otel

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// consumer is what Consumer returns.
type consumer struct {
	t      *Telemetry
	system attribute.KeyValue
	group  string
}

// Consumer has a consumer span for every attempt at an event by group g, in the context that the handler gets, and
// measures it. b names the system, and may be nil under a plain router.
func (t *Telemetry) Consumer(b durable.Backend, g durable.Group) middleware.Policy {
	c := &consumer{t: t, group: g.Name, system: attrSystem.String("dualstream")}
	if b != nil {
		c.system = attrSystem.String(system(b.Capabilities().Backend))
	}
	return c
}

// Validate returns nil.
func (c *consumer) Validate() error { return nil }

// Middleware wraps h.
func (c *consumer) Middleware(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) (out []*message.Message, err error) {
		before, begin, returned := msg.Context(), time.Now(), false
		d, under := durable.DeliveryOf(before)
		if !under {
			d.Topic = message.SubscribeTopicFromCtx(before)
		}
		attrs := []attribute.KeyValue{
			c.system, attrOperation.String("process"), attrDestination.String(d.Topic), attrGroup.String(c.group),
		}
		ctx, span := c.start(before, msg, d, attrs)
		defer func() {
			msg.SetContext(before)
			attrs = append(attrs, outcome(span, err, returned)...)
			c.t.process.Record(ctx, seconds(begin), metric.WithAttributes(attrs...))
			span.End()
		}()
		msg.SetContext(ctx)
		out, err = h(msg)
		returned = true
		return out, err
	}
}

func (c *consumer) start(ctx context.Context, msg *message.Message, d durable.Delivery, attrs []attribute.KeyValue) (context.Context, trace.Span) {
	more := append(slices.Clone(attrs), attrOperationType.String("process"))
	more = append(more, messageAttributes(msg)...)
	if d.Claim != nil {
		more = append(more, attrPartition.String(strconv.Itoa(d.Claim.Partition())), attrPosition.String(string(d.Position)),
			attrAttempt.Int(d.Attempt))
	}
	o := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(more...)}
	if c.t.links {
		o = append(o, trace.WithNewRoot(), trace.WithLinks(link(nil, c.t.carried(msg))...))
	} else {
		ctx = c.t.Extract(ctx, msg)
	}
	return c.t.tracer.Start(ctx, "process "+d.Topic, o...)
}

// outcome marks span, and returns the attribute for metrics where the attempt failed: what is skipped or busy has not.
func outcome(span trace.Span, err error, returned bool) []attribute.KeyValue {
	switch {
	case !returned:
		kind := attrErrorType.String("panic")
		span.SetStatus(codes.Error, "the handler panicked")
		span.SetAttributes(kind)
		return []attribute.KeyValue{kind}
	case err == nil:
		return nil
	}
	switch class := middleware.ClassOf(err); class {
	case middleware.ClassSkip, middleware.ClassBusy:
		span.AddEvent(class.String(), trace.WithAttributes(attribute.String("reason", err.Error())))
		return nil
	default:
		span.RecordError(err)
		return []attribute.KeyValue{failed(span, err, class.String())}
	}
}

// Receive has a client span for every Fetch of b's consumers that brought something, linked to what the messages
// carry, and counts them.
func (t *Telemetry) Receive(b durable.Backend) durable.Backend {
	return &receiving{able: middleware.WrapAppend(b, b.Append).(able), t: t, system: attrSystem.String(system(b.Capabilities().Backend))}
}

// able is a backend with the optional abilities, as WrapAppend gives it.
type able interface {
	durable.Backend
	durable.HealthChecker
	durable.Administrator
	durable.GroupAdministrator
	durable.LagReporter
	durable.Trimmer
	durable.Remover
}

// receiving is a backend whose consumers are traced.
type receiving struct {
	able
	t      *Telemetry
	system attribute.KeyValue
}

// Unwrap is the backend inside.
func (r *receiving) Unwrap() durable.Backend { return r.able }

// Consume implements durable.Backend.
func (r *receiving) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	c, err := r.able.Consume(ctx, g)
	if err != nil {
		return nil, err
	}
	p := &polling{Consumer: c, r: r, group: g.Name}
	if able, ok := c.(durable.Pauser); ok {
		return struct {
			*polling
			durable.Pauser
		}{p, able}, nil
	}
	return p, nil
}

type polling struct {
	durable.Consumer
	r     *receiving
	group string
}

// Fetch implements durable.Consumer.
func (p *polling) Fetch(ctx context.Context, most int) ([]durable.Delivery, error) {
	begin := time.Now()
	ds, err := p.Consumer.Fetch(ctx, most)
	if len(ds) > 0 {
		p.span(ctx, begin, ds)
	}
	return ds, err
}

// span makes the one of a Fetch that brought ds: named by their topic where they are of one.
func (p *polling) span(ctx context.Context, begin time.Time, ds []durable.Delivery) {
	topic := ds[0].Topic
	var links []trace.Link
	for i := range ds {
		if ds[i].Topic != topic {
			topic = ""
		}
		if len(links) < mostLinks {
			links = link(links, p.r.t.carried(ds[i].Message))
		}
	}
	attrs := []attribute.KeyValue{p.r.system, attrOperation.String("poll"), attrGroup.String(p.group)}
	name := "poll"
	if topic != "" {
		attrs, name = append(attrs, attrDestination.String(topic)), fmt.Sprint("poll ", topic)
	}
	set := metric.WithAttributes(attrs...)
	p.r.t.consumed.Add(ctx, int64(len(ds)), set)
	p.r.t.operation.Record(ctx, seconds(begin), set)
	_, span := p.r.t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(begin),
		trace.WithAttributes(append(attrs, attrOperationType.String("receive"), attrBatch.Int(len(ds)))...), trace.WithLinks(links...))
	span.End()
}
