package prometheus_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/middleware/prometheus"
)

const patience = 60 * time.Second

// backends are memory, a Redis server and a Kafka broker.
func backends() map[string]func(t *testing.T) (durable.Backend, error) {
	return map[string]func(t *testing.T) (durable.Backend, error){
		"memory": func(t *testing.T) (durable.Backend, error) { return newMemory(t), nil },
		"redisstream": func(t *testing.T) (durable.Backend, error) {
			return redisstream.Open(t.Context(), redisstream.Config{
				Connection: redisstream.Connection{Addr: testenv.Redis(t)}, Logger: silent,
			})
		},
		"kafka": func(t *testing.T) (durable.Backend, error) {
			return kafka.Open(t.Context(), kafka.Config{Brokers: testenv.Kafka(t), Logger: silent})
		},
	}
}

func TestAfterAFaultRunEveryDeliveryIsSomewhere(t *testing.T) {
	for name, open := range backends() {
		t.Run(name, func(t *testing.T) {
			b, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close(context.Background()) })
			faultRun(t, b)
		})
	}
}

// faultRun has two members, which come and go, handle 2000 events that fail, panic and are busy; every 50th is poison.
func faultRun(t *testing.T, b durable.Backend) {
	const count, every = 2000, 50
	topic, group := testenv.Name(t, "metrics"), testenv.Name(t, "g")
	for _, name := range []string{topic, topic + ".poison"} {
		if err := b.(durable.Administrator).CreateTopic(t.Context(), durable.TopicSpec{Name: name, Partitions: 4}); err != nil {
			t.Fatal(err)
		}
	}
	m, r := newMetrics(t, prometheus.Options{LagFresh: time.Millisecond, LagTimeout: patience})
	b = m.Append(b)
	msgs := events(t, count)
	for i, msg := range msgs {
		msg.Metadata["n"] = fmt.Sprint(i % every)
	}
	if _, err := b.Append(t.Context(), topic, msgs...); err != nil {
		t.Fatal(err)
	}
	monitor := new(durable.Monitor)
	g := durable.Group{Name: group, Topics: durable.Topics(topic)}
	c := m.Consumer(b, g, monitor)
	m.Consumer(b, g, monitor) // of another member: nothing is counted twice
	var succeeded atomic.Int64
	dedupe := &middleware.Dedupe{Logger: silent}
	m.Dedupe(group, dedupe)
	h, err := middleware.Stack{
		Metrics: c, Dedupe: dedupe, Recover: &middleware.Recover{Logger: silent},
		Poison: &middleware.Poison{Backend: b, OnPoison: c.OnPoison, Logger: silent},
		Retry:  &middleware.Retry{MaxAttempts: 20, Initial: time.Millisecond, Max: 2 * time.Millisecond, OnRetry: c.OnRetry},
	}.Handler(func(msg *message.Message) ([]*message.Message, error) {
		switch dice := rand.IntN(20); {
		case msg.Metadata["n"] == "0":
			return nil, middleware.Permanent(errHandler)
		case dice == 0:
			panic("dice")
		case dice == 1:
			return nil, errHandler
		case dice == 2:
			return nil, middleware.Busy(errHandler, time.Millisecond)
		}
		succeeded.Add(1)
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	options := durable.ProcessOptions{Monitor: monitor, MaxInFlight: 200, Logger: silent}
	member := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- durable.Process(ctx, b, g, h, options) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Process: got %v, want nil", err)
			}
		}
	}
	first := member()
	second := member()
	testenv.Await(t, patience, func() bool { return succeeded.Load() > count/4 }, "a quarter is handled")
	balance(t, gathered(t, r))
	first()
	balance(t, gathered(t, r))
	testenv.Await(t, patience, func() bool { return lagging(t, b, group, topic) == 0 }, "all is handled and acknowledged")
	second()
	check(t, r, b, topic, count/every)
}

// lagging is how many events the group has not finished.
func lagging(t *testing.T, b durable.Backend, group, topic string) (n int64) {
	partitions, err := b.(durable.LagReporter).Lag(t.Context(), group, topic)
	if err != nil {
		return -1
	}
	for _, p := range partitions {
		n += max(p.Lag, 0) + max(p.Pending, 0)
	}
	return n
}

// check compares the metrics with what is stored.
func check(t *testing.T, r *prom.Registry, b durable.Backend, topic string, poison int) {
	t.Helper()
	series := gathered(t, r)
	balance(t, series)
	stored := 0
	for _, err := range b.Replay(t.Context(), topic+".poison", durable.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		stored++
	}
	if n := sum(series, "poisoned_events_total"); stored < poison || n != float64(stored) {
		t.Errorf("poisoned: got %v, stored in the poison topic %d, want the same and at least %d", n, stored, poison)
	}
	for _, name := range []string{"handler_duration_seconds", "retries_total", "dedupe_events_total", "published_events_total", "attempts_total"} {
		if sum(series, name) == 0 {
			t.Errorf("%s: got nothing", name)
		}
	}
	for _, name := range []string{"in_flight_events", "running_handlers", "waiting_retries", "lag_events", "lag_errors_total"} {
		if n := sum(series, name); n != 0 {
			t.Errorf("%s at the end: got %v, want 0", name, n)
		}
	}
}

// slowLag is a backend whose lag hangs while it is asked to.
type slowLag struct {
	durable.Backend
	calls atomic.Int64
	hang  atomic.Bool
}

func (s *slowLag) Lag(ctx context.Context, _, _ string) ([]durable.PartitionLag, error) {
	s.calls.Add(1)
	if s.hang.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []durable.PartitionLag{{Lag: 3, Pending: 1}, {Lag: -1}, {Lag: 4}}, nil
}

func TestTheLagIsCachedAndItsFailureDoesNotHoldTheScrape(t *testing.T) {
	m, r := newMetrics(t, prometheus.Options{LagFresh: time.Hour, LagTimeout: patience})
	b := &slowLag{Backend: newMemory(t)}
	g := durable.Group{Name: "g", Topics: durable.Topics("orders")}
	m.Consumer(b, g, nil)
	m.Consumer(b, g, nil) // another member: the lag is the group's, not added up
	for range 5 {
		got := gathered(t, r)
		if lag, pending := sum(got, "lag_events"), sum(got, "pending_events"); lag != 7 || pending != 1 {
			t.Errorf("got a lag of %v and %v pending, want 7 and 1", lag, pending)
		}
	}
	if n := b.calls.Load(); n != 2 {
		t.Errorf("calls of Lag: got %d, want one for each consumer", n)
	}
	m, r = newMetrics(t, prometheus.Options{LagFresh: time.Nanosecond, LagTimeout: 50 * time.Millisecond})
	b.hang.Store(true)
	m.Consumer(b, g, nil)
	testenv.Await(t, patience, func() bool { return sum(gathered(t, r), "lag_errors_total") > 0 }, "the failure is counted")
	if _, shown := gathered(t, r)["dualstream_lag_events{backend=memory,group=g,topic=orders}"]; shown {
		t.Error("a lag that nobody knows is shown")
	}
}

func TestAPanicPassesAndIsCounted(t *testing.T) {
	m, r := newMetrics(t, prometheus.Options{})
	h := m.Consumer(nil, durable.Group{Name: "g"}, nil).Middleware(func(*message.Message) ([]*message.Message, error) { panic("x") })
	func() {
		defer func() {
			if v := recover(); v != "x" {
				t.Errorf("got the panic %v, want the handler's", v)
			}
		}()
		_, _ = h(events(t, 1)[0])
	}()
	if n := gathered(t, r)["dualstream_handler_duration_seconds{backend=,group=g,outcome=panic,topic=}"]; n != 1 {
		t.Errorf("got %v, want 1", n)
	}
}

func TestWatermillsNamesAreThereWhereAskedFor(t *testing.T) {
	m, r := newMetrics(t, prometheus.Options{Watermill: &prometheus.WatermillNames{Namespace: "shop"}})
	b, monitor := m.Append(newMemory(t)), new(durable.Monitor)
	if _, err := b.Append(t.Context(), "orders", events(t, 4)...); err != nil {
		t.Fatal(err)
	}
	g := durable.Group{Name: "billing", Topics: durable.Topics("orders")}
	h := m.Consumer(b, g, monitor).Middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- durable.Process(ctx, b, g, func(msg *message.Message) error { _, err := h(msg); return err },
			durable.ProcessOptions{Monitor: monitor, Logger: silent})
	}()
	testenv.Await(t, patience, func() bool { return monitor.Stats().Total().Acked == 4 }, "all is acknowledged")
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	got := gathered(t, r)
	for series, want := range map[string]float64{
		"shop_publish_time_seconds{handler_name=<no handler>,publisher_name=memory,success=true}":          1,
		"shop_handler_execution_time_seconds{handler_name=billing,success=true}":                           4,
		"shop_subscriber_messages_received_total{acked=acked,handler_name=billing,subscriber_name=memory}": 4,
	} {
		if got[series] != want {
			t.Errorf("%s: got %v, want %v", series, got[series], want)
		}
	}
}

func BenchmarkConsumer(b *testing.B) {
	m, err := prometheus.New(prometheus.Options{Registerer: prom.NewRegistry()})
	if err != nil {
		b.Fatal(err)
	}
	h := m.Consumer(nil, durable.Group{Name: "g"}, nil).Middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil })
	msg := events(b, 1)[0]
	b.ReportAllocs()
	for b.Loop() {
		_, _ = h(msg)
	}
}
