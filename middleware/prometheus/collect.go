package prometheus

import (
	"maps"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/realtime"
)

// source is something that counts by itself and is read on scrape.
type source interface{ read(*sink) }

func (m *Metrics) add(s source) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources = append(m.sources, s)
}

// sourceFunc is a source that is a function.
type sourceFunc func(*sink)

func (f sourceFunc) read(s *sink) { f(s) }

// Publisher shows what a durable.Publisher has in flight and has refused:
//
//	metrics.Publisher("kafka", func() durable.PublisherStats { return publisher.Stats().Store })
func (m *Metrics) Publisher(backend string, stats func() durable.PublisherStats) {
	m.add(sourceFunc(func(s *sink) {
		now := stats()
		s.add(publisherInFlight, float64(now.InFlight), backend)
		s.add(publisherBytes, float64(now.InFlightBytes), backend)
		s.add(publisherWaiting, float64(now.Waiting), backend)
		s.add(publisherRefused, float64(now.Refused), backend, "backpressure")
		s.add(publisherRefused, float64(now.Invalid), backend, "invalid")
	}))
}

// Dispatcher shows what a realtime.Dispatcher has sent and dropped, its recovered panics and its circuit breaker:
//
//	metrics.Dispatcher("redispubsub", func() realtime.DispatcherStats { return publisher.Stats().Bus })
func (m *Metrics) Dispatcher(backend string, stats func() realtime.DispatcherStats) {
	m.add(sourceFunc(func(s *sink) {
		now := stats()
		s.add(notificationsDispatched, float64(now.Dispatched), backend)
		s.add(notificationsSent, float64(now.Sent), backend)
		s.add(notificationsQueued, float64(now.Queued), backend)
		s.add(notificationsInFlight, float64(now.InFlight), backend)
		s.add(notifyPanics, float64(now.Panics), backend)
		s.add(breakerOpened, float64(now.Opened), backend)
		s.most(breakerState, breakerValue(now.Breaker), backend)
		for reason, n := range map[string]uint64{
			"overflow": now.Dropped.Overflow, "coalesced": now.Dropped.Coalesced, "breaker": now.Dropped.Breaker,
			"error": now.Dropped.Error, "timeout": now.Dropped.Timeout, "closed": now.Dropped.Closed, "invalid": now.Dropped.Invalid,
		} {
			s.add(notificationsDropped, float64(n), backend, reason)
		}
	}))
}

func breakerValue(s realtime.BreakerState) float64 {
	switch s {
	case realtime.BreakerClosed:
		return 0
	case realtime.BreakerHalfOpen:
		return 1
	default:
		return 2
	}
}

// Subscribers shows how many local subscribers there are, such as the open streams of a server of events.
func (m *Metrics) Subscribers(backend string, count func() int) {
	m.add(sourceFunc(func(s *sink) { s.add(subscribers, float64(count()), backend) }))
}

// Dedupe shows what d decided for group.
func (m *Metrics) Dedupe(group string, d *middleware.Dedupe) {
	group = m.groups.label(group)
	m.add(sourceFunc(func(s *sink) {
		now := d.Stats()
		for outcome, n := range map[string]uint64{
			"handled": now.Handled, "duplicate": now.Duplicates, "busy": now.Busy, "released": now.Released,
			"unchecked": now.Unchecked, "held": now.Held, "unkeyed": now.Unkeyed, "lost": now.Lost,
		} {
			s.add(dedupeEvents, float64(n), group, outcome)
		}
		s.add(dedupeErrors, float64(now.StoreErrors), group)
	}))
}

// read implements source.
func (c *Consumer) read(s *sink) {
	if c.monitor != nil && !s.seen[c.monitor] {
		s.seen[c.monitor] = true
		for topic, t := range c.monitor.Stats().Topics {
			c.readTopic(s, c.m.topics.label(topic), t)
		}
	}
	if c.lag == nil {
		return
	}
	known, failed := c.lag.read(s.asked[c.lag], s.due)
	for topic, l := range known {
		topic = c.m.topics.label(topic)
		s.most(lagEvents, float64(l.lag), topic, c.backend, c.group)
		s.most(pendingEvents, float64(l.pending), topic, c.backend, c.group)
	}
	s.add(lagErrors, float64(failed), c.backend, c.group)
}

func (c *Consumer) readTopic(s *sink, topic string, t durable.TopicStats) {
	for _, v := range []struct {
		f *family
		n float64
	}{
		{received, float64(t.Received)},
		{redelivered, float64(t.Redelivered)},
		{acked, float64(t.Acked)},
		{released, float64(t.Released)},
		{lost, float64(t.Lost)},
		{inFlight, float64(t.InFlight)},
		{inFlightBytes, float64(t.InFlightBytes)},
		{running, float64(t.Running)},
		{waiting, float64(t.Waiting)},
		{parked, float64(t.Parked)},
		{stalls, float64(t.Stalls)},
	} {
		s.add(v.f, v.n, topic, c.backend, c.group)
	}
	s.add(attempts, float64(t.Succeeded), topic, c.backend, c.group, "succeeded")
	s.add(attempts, float64(t.Failed), topic, c.backend, c.group, "failed")
	if w := c.m.hot.watermill; w != nil {
		s.add(w.received, float64(t.Acked), c.group, c.backend, "acked")
		s.add(w.received, float64(t.Released), c.group, c.backend, "nacked")
	}
}

// collector is what the registry sees of the sources.
type collector struct{ m *Metrics }

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prom.Desc) {
	for _, f := range families() {
		out <- f.desc
	}
	if w := c.m.hot.watermill; w != nil {
		out <- w.received.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prom.Metric) {
	c.m.mu.Lock()
	sources := append([]source(nil), c.m.sources...)
	c.m.mu.Unlock()
	s := &sink{
		sums: make(map[sample]float64), seen: make(map[*durable.Monitor]bool),
		asked: make(map[*lag]<-chan struct{}), due: time.Now().Add(c.m.o.LagTimeout),
	}
	for _, src := range sources {
		if consumer, ok := src.(*Consumer); ok && consumer.lag != nil {
			s.asked[consumer.lag] = consumer.lag.begin()
		}
	}
	for _, src := range sources {
		src.read(s)
	}
	for sample, v := range maps.All(s.sums) {
		out <- prom.MustNewConstMetric(sample.f.desc, sample.f.kind, v, sample.labels[:sample.f.labels]...)
	}
}
