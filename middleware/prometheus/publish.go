package prometheus

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// appended are the metrics of one topic of one backend.
type appended struct {
	stored, rejected, notSent, unknown prom.Counter
	bytes                              prom.Counter
	ok, failed                         prom.Observer
	batch                              prom.Observer
	publishOK, publishFailed           prom.Observer // nil without Watermill's names
	label                              string
}

// Append counts what goes to b; for dual.Options.Append, outermost, so that a call is counted as the publisher sees it.
func (m *Metrics) Append(b durable.Backend) durable.Backend {
	name := b.Capabilities().Backend
	topics := newChildren(&m.topics, func(label string) *appended { return m.hot.appended(label, name) })
	return middleware.WrapAppend(b, func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		begin := time.Now()
		positions, err := b.Append(ctx, topic, msgs...)
		if len(msgs) == 0 {
			return positions, err
		}
		t := topics.of(topic)
		t.count(msgs, err)
		t.observe(time.Since(begin).Seconds(), err)
		if err != nil {
			m.hot.appendErrors.WithLabelValues(t.label, name, outcomeOf(err)).Inc()
		}
		return positions, err
	})
}

func (h *hot) appended(topic, backend string) *appended {
	a := &appended{
		label:  topic,
		stored: h.published.WithLabelValues(topic, backend, "stored"), rejected: h.published.WithLabelValues(topic, backend, "rejected"),
		notSent: h.published.WithLabelValues(topic, backend, "not_sent"), unknown: h.published.WithLabelValues(topic, backend, "unknown"),
		bytes: h.bytes.WithLabelValues(topic, backend), batch: h.appendBatch.WithLabelValues(topic, backend),
		ok: h.appendTime.WithLabelValues(topic, backend, "ok"), failed: h.appendTime.WithLabelValues(topic, backend, "error"),
	}
	if h.watermill != nil {
		a.publishOK, a.publishFailed = h.watermill.publishing(backend)
	}
	return a
}

func (a *appended) observe(seconds float64, err error) {
	duration, publish := a.ok, a.publishOK
	if err != nil {
		duration, publish = a.failed, a.publishFailed
	}
	duration.Observe(seconds)
	if publish != nil {
		publish.Observe(seconds)
	}
}

// count counts the outcome of every message.
func (a *appended) count(msgs []*message.Message, err error) {
	a.batch.Observe(float64(len(msgs)))
	if err == nil {
		a.stored.Add(float64(len(msgs)))
		size := 0
		for _, m := range msgs {
			size += durable.Size(m)
		}
		a.bytes.Add(float64(size))
		return
	}
	var batch *durable.BatchError
	if !errors.As(err, &batch) || len(batch.Outcomes) != len(msgs) {
		a.unknown.Add(float64(len(msgs)))
		return
	}
	for i, o := range batch.Outcomes {
		switch o.Status {
		case durable.Stored:
			a.stored.Inc()
			a.bytes.Add(float64(durable.Size(msgs[i])))
		case durable.Rejected:
			a.rejected.Inc()
		case durable.NotSent:
			a.notSent.Inc()
		default:
			a.unknown.Inc()
		}
	}
}
