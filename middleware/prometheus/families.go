package prometheus

import (
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/durable"
)

// family is a metric that is read on scrape.
type family struct {
	desc   *prom.Desc
	kind   prom.ValueType
	labels int
}

// sample is one series.
type sample struct {
	f      *family
	labels [4]string
}

// sink sums up series, because several sources may share one.
type sink struct {
	sums  map[sample]float64
	seen  map[*durable.Monitor]bool // read already, because members may share one
	asked map[*lag]<-chan struct{}  // what to wait for, until due
	due   time.Time
}

func (s *sink) add(f *family, v float64, labels ...string) {
	key := sample{f: f}
	copy(key.labels[:], labels)
	s.sums[key] += v
}

// most keeps the largest value, for what several sources tell of the same thing.
func (s *sink) most(f *family, v float64, labels ...string) {
	key := sample{f: f}
	copy(key.labels[:], labels)
	if before, ok := s.sums[key]; !ok || v > before {
		s.sums[key] = v
	}
}

func newFamily(kind prom.ValueType, name, help string, labels ...string) *family {
	return &family{desc: prom.NewDesc(namespace+"_"+name, help, labels, nil), kind: kind, labels: len(labels)}
}

func counter(name, help string, labels ...string) *family {
	return newFamily(prom.CounterValue, name, help, labels...)
}

func gauge(name, help string, labels ...string) *family {
	return newFamily(prom.GaugeValue, name, help, labels...)
}

// The families that are read on scrape.
var (
	received      = counter("received_events_total", "Deliveries fetched.", "topic", "backend", "group")
	redelivered   = counter("redelivered_events_total", "Deliveries fetched that were delivered before.", "topic", "backend", "group")
	acked         = counter("acked_events_total", "Deliveries acknowledged, poisoned ones included.", "topic", "backend", "group")
	released      = counter("released_events_total", "Deliveries given back unacknowledged.", "topic", "backend", "group")
	lost          = counter("lost_events_total", "Deliveries whose claim was lost before they were acknowledged.", "topic", "backend", "group")
	inFlight      = gauge("in_flight_events", "Deliveries fetched and not finished.", "topic", "backend", "group")
	inFlightBytes = gauge("in_flight_bytes", "Bytes of the deliveries that are fetched and not finished.", "topic", "backend", "group")
	running       = gauge("running_handlers", "Handlers that run.", "topic", "backend", "group")
	waiting       = gauge("waiting_retries", "Deliveries that wait for their next attempt.", "topic", "backend", "group")
	parked        = gauge("parked_events", "Deliveries that are parked with their key.", "topic", "backend", "group")
	stalls        = counter("stalls_total", "Times that one delivery kept a full window from moving.", "topic", "backend", "group")
	attempts      = counter("attempts_total", "Attempts at deliveries.", "topic", "backend", "group", "outcome")
	lagEvents     = gauge("lag_events", "Events stored that the group has not been given.", "topic", "backend", "group")
	pendingEvents = gauge("pending_events", "Events given to the group and not acknowledged, as the backend counts.", "topic", "backend", "group")
	lagErrors     = counter("lag_errors_total", "Times that the backend failed to tell the lag.", "backend", "group")

	dedupeEvents = counter("dedupe_events_total", "Decisions of Dedupe.", "group", "outcome")
	dedupeErrors = counter("dedupe_store_errors_total", "Calls of the dedupe store that failed.", "group")

	publisherInFlight = gauge("publisher_in_flight_events", "Events on their way to the durable backend.", "backend")
	publisherBytes    = gauge("publisher_in_flight_bytes", "Bytes of the events on their way to the durable backend.", "backend")
	publisherWaiting  = gauge("publisher_waiting_calls", "Calls that wait for room.", "backend")
	publisherRefused  = counter("publisher_refused_events_total", "Events that the publisher refused.", "backend", "outcome")

	notificationsDispatched = counter("notifications_dispatched_total", "Notifications to be broadcast.", "backend")
	notificationsSent       = counter("notifications_sent_total", "Notifications taken by the real-time backend.", "backend")
	notificationsDropped    = counter("notifications_dropped_total", "Notifications dropped, by reason.", "backend", "outcome")
	notificationsQueued     = gauge("notifications_queued", "Notifications that wait to be broadcast.", "backend")
	notificationsInFlight   = gauge("notifications_in_flight", "Notifications on their way to the real-time backend.", "backend")
	notifyPanics            = counter("notify_panics_total", "Calls of the real-time backend that panicked and were recovered.", "backend")
	breakerState            = gauge("breaker_state", "Circuit breaker of the announcing side: 0 closed, 1 half-open, 2 open.", "backend")
	breakerOpened           = counter("breaker_opened_total", "Times that the circuit breaker of the announcing side opened.", "backend")
	subscribers             = gauge("subscribers", "Local subscribers.", "backend")
)

func families() []*family {
	return []*family{
		received, redelivered, acked, released, lost, inFlight, inFlightBytes, running, waiting, parked, stalls, attempts,
		lagEvents, pendingEvents, lagErrors, dedupeEvents, dedupeErrors,
		publisherInFlight, publisherBytes, publisherWaiting, publisherRefused,
		notificationsDispatched, notificationsSent, notificationsDropped, notificationsQueued, notificationsInFlight,
		notifyPanics, breakerState, breakerOpened, subscribers,
	}
}
