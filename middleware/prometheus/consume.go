package prometheus

import (
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// Consumer counts what one group handles. It is a middleware.Policy, to be put outermost (middleware.Stack.Metrics).
type Consumer struct {
	m       *Metrics
	backend string
	group   string // as a label
	topics  *children[handled]

	monitor *durable.Monitor // nil: none
	lag     *lag             // nil: the backend does not tell
}

var _ middleware.Policy = (*Consumer)(nil)

// The outcomes of an attempt.
const (
	outcomeOK = iota
	outcomeRetryable
	outcomePermanent
	outcomeSkip
	outcomeBusy
	outcomePanic
	outcomes
)

// handled are the metrics of one topic of a Consumer.
type handled struct {
	duration  [outcomes]prom.Observer
	ok, bad   prom.Observer // nil without Watermill's names
	retries   prom.Counter
	topicName string
}

// Consumer counts what group g handles from b. The counters of deliveries are those of monitor, which is to be that of
// durable.ProcessOptions, and the lag is asked for on scrape, for the topics of g. b and monitor may be nil: under a
// plain router. It is read for as long as Metrics is: make one for each member, and use it again when that member joins
// again.
func (m *Metrics) Consumer(b durable.Backend, g durable.Group, monitor *durable.Monitor) *Consumer {
	c := &Consumer{m: m, group: m.groups.label(g.Name), monitor: monitor}
	if b != nil {
		c.backend = b.Capabilities().Backend
		if reporter, ok := b.(durable.LagReporter); ok {
			c.lag = newLag(m.o, reporter, g)
		}
	}
	c.topics = newChildren(&m.topics, c.handled)
	m.add(c)
	return c
}

func (c *Consumer) handled(topic string) *handled {
	h := &handled{retries: c.m.hot.retries.WithLabelValues(topic, c.backend, c.group), topicName: topic}
	for i, name := range [outcomes]string{"ok", "retryable", "permanent", "skip", "busy", "panic"} {
		h.duration[i] = c.m.hot.handlerTime.WithLabelValues(topic, c.backend, c.group, name)
	}
	if c.m.hot.watermill != nil {
		h.ok, h.bad = c.m.hot.watermill.handling(c.group)
	}
	return h
}

// Validate returns nil.
func (c *Consumer) Validate() error { return nil }

// Middleware measures every attempt.
func (c *Consumer) Middleware(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) (out []*message.Message, err error) {
		t := c.topics.of(topicOf(msg))
		begin, returned := time.Now(), false
		defer func() {
			outcome := outcomePanic
			if returned {
				outcome = attemptOutcome(err)
			}
			t.observe(outcome, time.Since(begin).Seconds())
		}()
		out, err = h(msg)
		returned = true
		return out, err
	}
}

func (t *handled) observe(outcome int, seconds float64) {
	t.duration[outcome].Observe(seconds)
	switch {
	case t.ok == nil:
	case outcome == outcomeOK:
		t.ok.Observe(seconds)
	default:
		t.bad.Observe(seconds)
	}
}

func topicOf(msg *message.Message) string {
	ctx := msg.Context()
	if d, ok := durable.DeliveryOf(ctx); ok {
		return d.Topic
	}
	return message.SubscribeTopicFromCtx(ctx)
}

func attemptOutcome(err error) int {
	if err == nil {
		return outcomeOK
	}
	switch middleware.ClassOf(err) {
	case middleware.ClassPermanent:
		return outcomePermanent
	case middleware.ClassSkip:
		return outcomeSkip
	case middleware.ClassBusy:
		return outcomeBusy
	default:
		return outcomeRetryable
	}
}

// OnRetry counts a retry; for middleware.Retry.OnRetry.
func (c *Consumer) OnRetry(e middleware.RetryEvent) { c.topics.of(e.Topic).retries.Inc() }

// OnPoison counts an event that was poisoned; for middleware.Poison.OnPoison.
func (c *Consumer) OnPoison(e middleware.PoisonEvent) {
	topic := c.topics.of(e.Topic).topicName
	c.m.hot.poisoned.WithLabelValues(topic, c.backend, c.group, e.Failure.Reason).Inc()
}

// ObserveDedupe is Metrics.Dedupe for the group of c.
func (c *Consumer) ObserveDedupe(d *middleware.Dedupe) { c.m.Dedupe(c.group, d) }
