package adapters_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware/prometheus"
)

// measured opens a file with the section metrics, which shows in r.
func measured(t *testing.T, r *prom.Registry, text string) *dual.Stack {
	t.Helper()
	cfg, err := dual.Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	openers := adapters.All()
	openers.Middleware["metrics"] = prometheus.Opener(prometheus.Options{Registerer: r, LagFresh: time.Millisecond})
	s, err := dual.Open(t.Context(), cfg, openers, func(o *dual.Options) { o.Logger = silent })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// series are all of r by their name and labels; histograms by their count.
func series(t *testing.T, r *prom.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return out
}

func TestAFileBuildsTheStackWithItsMetrics(t *testing.T) {
	onBackends(t, func(t *testing.T, backend string) {
		r, topic, group := prom.NewPedanticRegistry(), testenv.Name(t, "orders"), testenv.Name(t, "g")
		s := measured(t, r, backend+`
realtime: { backend: memory }
publish: { topic: `+topic+` }
process: { stall_after: 3s }
topics: { `+topic+`: { partitions: 2 } }
metrics: { max_topics: 10, lag_timeout: 30s }
poison: {}
retry: { max_attempts: 3, initial: 1ms, max: 2ms }
dedupe: {}
`)
		for _, id := range []string{"ok", "ok", "fails"} {
			if _, err := s.Publisher.Publish(t.Context(), durable.Event{ID: id, Type: "order.created", SourceType: "order", SourceID: "42"}); err != nil {
				t.Fatal(err)
			}
		}
		series(t, r) // before the group has joined
		g := s.Group(group)
		h := s.HandleEvent(group, func(_ context.Context, e durable.Event) error {
			if e.ID == "fails" {
				return errors.New("no")
			}
			return nil
		})
		options := s.ProcessOf(g)
		if options.StallAfter != 3*time.Second || options.Monitor == nil || options.Monitor != s.ProcessOf(g).Monitor {
			t.Errorf("options %+v, want a Monitor and stall_after of the file", options)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- durable.Process(ctx, s.Durable, g, h, options) }()
		testenv.Await(t, time.Minute, func() bool { return options.Monitor.Stats().Total().Acked == 3 }, "three are acknowledged")
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		name := s.Durable.Capabilities().Backend
		got := series(t, r)
		for want, n := range map[string]float64{
			fmt.Sprintf("published_events_total %s stored %s", name, topic):                3,
			fmt.Sprintf("acked_events_total %s %s %s", name, group, topic):                 3,
			fmt.Sprintf("handler_duration_seconds %s %s retryable %s", name, group, topic): 2,
			fmt.Sprintf("retries_total %s %s %s", name, group, topic):                      2,
			fmt.Sprintf("poisoned_events_total %s %s exhausted %s", name, group, topic):    1,
			fmt.Sprintf("dedupe_events_total %s handled", group):                           1,
			fmt.Sprintf("dedupe_events_total %s duplicate", group):                         1,
			fmt.Sprintf("lag_errors_total %s %s", name, group):                             0,
			fmt.Sprintf("lag_events %s %s %s", name, group, topic):                         0,
			fmt.Sprintf("publisher_in_flight_events %s", name):                             0,
			"notifications_dispatched_total memory":                                        3,
		} {
			if v, ok := got["dualstream_"+want]; !ok || v != n {
				t.Errorf("%s: got %v, there %t, want %v", want, v, ok, n)
			}
		}
	})
}

// onBackends runs f with the section durable of memory, of a Redis server and of a Kafka broker.
func onBackends(t *testing.T, f func(t *testing.T, durable string)) {
	t.Run("memory", func(t *testing.T) { f(t, "durable: { backend: memory }") })
	t.Run("redis", func(t *testing.T) {
		f(t, "durable: { backend: redisstream, redisstream: { addr: '"+testenv.Redis(t)+"' } }")
	})
	t.Run("kafka", func(t *testing.T) {
		f(t, "durable: { backend: kafka, kafka: { brokers: '"+testenv.Kafka(t)[0]+"' } }")
	})
}

func TestMetricsOfAFileLeaveTheRegistryWithTheStack(t *testing.T) {
	r := prom.NewPedanticRegistry()
	for range 2 {
		s := measured(t, r, "durable: { backend: memory }\nmetrics:\n")
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := series(t, r); len(got) != 0 {
			t.Errorf("after Close: got %v, want nothing", got)
		}
	}
	if place := prometheus.Opener(prometheus.Options{}).Place; place != adapters.PlaceMetrics {
		t.Errorf("place %d, want %d", place, adapters.PlaceMetrics)
	}
}

func TestAFileFiltersByType(t *testing.T) {
	s := opened(t, "durable: { backend: memory }\nfilter: { types: [order.paid], patterns: ['refund.*'] }\n")
	for _, kind := range []string{"order.created", "order.paid", "refund.begun"} {
		if _, err := s.Publisher.Publish(t.Context(), durable.Event{Type: kind, SourceType: "order", SourceID: "42"}); err != nil {
			t.Fatal(err)
		}
	}
	var handled atomic.Int64
	monitor := new(durable.Monitor)
	g, options := s.Group("billing"), s.Process
	options.Monitor = monitor
	h := s.HandleEvent("billing", func(_ context.Context, e durable.Event) error {
		if e.Type == "order.created" {
			t.Error("order.created is handled")
		}
		handled.Add(1)
		return nil
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- durable.Process(ctx, s.Durable, g, h, options) }()
	testenv.Await(t, time.Minute, func() bool { return monitor.Stats().Total().Acked == 3 }, "three are acknowledged")
	stop()
	if err := <-ended; err != nil || handled.Load() != 2 {
		t.Errorf("%d handled, %v, want 2", handled.Load(), err)
	}
}

func TestMetricsOfAFileShowNoGroupWithoutAName(t *testing.T) {
	r := prom.NewPedanticRegistry()
	s := measured(t, r, "durable: { backend: memory }\nmetrics: { watermill_names: true }\npoison: { keep_rejected: true }\n")
	none := func(context.Context, durable.Event) error { return nil }
	for range 3 { // members come and go
		s.HandleEvent("billing", none)
		s.ProcessOf(s.Group("billing"))
	}
	for name := range series(t, r) {
		if name == "dualstream_lag_errors_total memory " {
			t.Errorf("%q: a group without a name is shown", name)
		}
	}
}

func TestClosingAStackTwiceLeavesTheMetricsOfTheNextOne(t *testing.T) {
	const file = "durable: { backend: memory }\nmetrics:\n"
	r := prom.NewPedanticRegistry()
	first := measured(t, r, file)
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := measured(t, r, file)
	if err := first.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := second.Publisher.Publish(t.Context(), durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"}); err != nil {
		t.Fatal(err)
	}
	if got := series(t, r)["dualstream_published_events_total memory stored events"]; got != 1 {
		t.Errorf("published_events_total is %v after the first stack was closed again, want 1", got)
	}
}
