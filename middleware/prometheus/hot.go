package prometheus

import (
	"sync"
	"sync/atomic"

	prom "github.com/prometheus/client_golang/prometheus"
)

// hot are the metrics that are counted as things happen.
type hot struct {
	published    *prom.CounterVec
	bytes        *prom.CounterVec
	appendTime   *prom.HistogramVec
	appendBatch  *prom.HistogramVec
	appendErrors *prom.CounterVec

	handlerTime *prom.HistogramVec
	retries     *prom.CounterVec
	poisoned    *prom.CounterVec

	notifyTime    *prom.HistogramVec
	notifyBatch   *prom.HistogramVec
	subscriptions *prom.GaugeVec
	gaps          *prom.CounterVec
	heard         *prom.CounterVec
	missed        *prom.CounterVec

	watermill *watermill // nil without
}

func newHot(names *WatermillNames) *hot {
	counter := func(name, help string, labels ...string) *prom.CounterVec {
		return prom.NewCounterVec(prom.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prom.HistogramVec {
		return prom.NewHistogramVec(prom.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	}
	h := &hot{
		published:    counter("published_events_total", "Events given to the durable backend, by what is known about them.", "topic", "backend", "outcome"),
		bytes:        counter("published_bytes_total", "Bytes of the events that the durable backend has stored.", "topic", "backend"),
		appendTime:   histogram("append_duration_seconds", "Duration of a call of the durable backend's Append.", Buckets(), "topic", "backend", "outcome"),
		appendBatch:  histogram("append_batch_size", "Events of a call of the durable backend's Append.", sizes(), "topic", "backend"),
		appendErrors: counter("append_errors_total", "Calls of Append that did not store everything, by class.", "topic", "backend", "outcome"),
		handlerTime:  histogram("handler_duration_seconds", "Duration of an attempt at an event.", Buckets(), "topic", "backend", "group", "outcome"),
		retries:      counter("retries_total", "Attempts that failed and are followed by another.", "topic", "backend", "group"),
		poisoned:     counter("poisoned_events_total", "Events that ended in a poison topic, by reason.", "topic", "backend", "group", "outcome"),
		notifyTime:   histogram("notify_duration_seconds", "Duration of a call of the real-time backend's Notify.", Buckets(), "backend", "outcome"),
		notifyBatch:  histogram("notify_batch_size", "Notifications of a call of the real-time backend's Notify.", sizes(), "backend"),
		gaps:         counter("subscription_gaps_total", "Gaps in subscriptions, by reason.", "backend", "outcome"),
		heard:        counter("subscription_notifications_total", "Notifications that subscriptions have yielded.", "backend"),
		missed:       counter("subscription_missed_notifications_total", "Notifications that subscriptions are known to have missed.", "backend"),
		subscriptions: prom.NewGaugeVec(prom.GaugeOpts{
			Namespace: namespace, Name: "subscriptions", Help: "Subscriptions that are open at the real-time backend.",
		}, []string{"backend"}),
	}
	if names != nil {
		h.watermill = newWatermill(*names)
	}
	return h
}

func (h *hot) all() []prom.Collector {
	out := []prom.Collector{
		h.published, h.bytes, h.appendTime, h.appendBatch, h.appendErrors, h.handlerTime, h.retries, h.poisoned,
		h.notifyTime, h.notifyBatch, h.subscriptions, h.gaps, h.heard, h.missed,
	}
	if h.watermill != nil {
		out = append(out, h.watermill.handler, h.watermill.publish)
	}
	return out
}

// children keeps what was made for a topic, so that the hot path looks a name up once, without a lock.
type children[T any] struct {
	names *names
	make  func(label string) *T

	known atomic.Pointer[map[string]*T]
	mu    sync.Mutex // of adding
	rest  *T         // of the topics beyond the bound
}

func newChildren[T any](n *names, build func(label string) *T) *children[T] {
	c := &children[T]{names: n, make: build}
	c.known.Store(&map[string]*T{})
	return c
}

func (c *children[T]) of(name string) *T {
	if v := (*c.known.Load())[name]; v != nil {
		return v
	}
	return c.add(name)
}

func (c *children[T]) add(name string) *T {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := *c.known.Load()
	if v := before[name]; v != nil {
		return v
	}
	label := c.names.label(name)
	if label == other {
		if c.rest == nil {
			c.rest = c.make(other)
		}
		return c.rest
	}
	after := make(map[string]*T, len(before)+1)
	for k, v := range before {
		after[k] = v
	}
	after[name] = c.make(label)
	c.known.Store(&after)
	return after[name]
}
