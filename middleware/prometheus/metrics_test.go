package prometheus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware/prometheus"
	"github.com/dualstream/dualstream/realtime"
)

func TestAppendIsCountedByOutcome(t *testing.T) {
	m, r := newMetrics(t, prometheus.Options{})
	b := m.Append(newMemory(t))
	good := events(t, 10)
	if _, err := b.Append(t.Context(), "orders", good...); err != nil {
		t.Fatal(err)
	}
	bad := events(t, 3)
	bad[1].Metadata["a\nb"] = "c"
	if _, err := b.Append(t.Context(), "orders", bad...); !errors.Is(err, durable.ErrInvalid) {
		t.Fatalf("got %v, want ErrInvalid", err)
	}
	got := gathered(t, r)
	for series, want := range map[string]float64{
		"dualstream_published_events_total{backend=memory,outcome=stored,topic=orders}":     10,
		"dualstream_published_events_total{backend=memory,outcome=rejected,topic=orders}":   1,
		"dualstream_published_events_total{backend=memory,outcome=not_sent,topic=orders}":   2,
		"dualstream_append_duration_seconds{backend=memory,outcome=ok,topic=orders}":        1,
		"dualstream_append_duration_seconds{backend=memory,outcome=error,topic=orders}":     1,
		"dualstream_append_batch_size{backend=memory,topic=orders}":                         2,
		"dualstream_append_errors_total{backend=memory,outcome=invalid,topic=orders}":       1,
		"dualstream_append_errors_total{backend=memory,outcome=unavailable,topic=orders}":   0,
		"dualstream_published_events_total{backend=memory,outcome=unknown,topic=orders}":    0,
		"dualstream_published_events_total{backend=memory,outcome=unknown,topic=elsewhere}": 0,
	} {
		if got[series] != want {
			t.Errorf("%s: got %v, want %v", series, got[series], want)
		}
	}
	size := 0
	for _, msg := range good {
		size += durable.Size(msg)
	}
	if n := sum(got, "published_bytes_total"); n != float64(size) {
		t.Errorf("bytes: got %v, want %d", n, size)
	}
}

func TestTopicsAndGroupsBeyondTheBoundAreSummedUp(t *testing.T) {
	m, r := newMetrics(t, prometheus.Options{MaxTopics: 5, MaxGroups: 3})
	b := m.Append(newMemory(t))
	for i := range 50 {
		if _, err := b.Append(t.Context(), fmt.Sprint("topic-", i), events(t, 1)...); err != nil {
			t.Fatal(err)
		}
		c := m.Consumer(b, durable.Group{Name: fmt.Sprint("group-", i)}, nil)
		if _, err := c.Middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil })(events(t, 1)[0]); err != nil {
			t.Fatal(err)
		}
	}
	topics, groups := map[string]bool{}, map[string]bool{}
	series := gathered(t, r)
	for s := range series {
		for pair := range strings.SplitSeq(strings.Trim(s[strings.IndexByte(s, '{'):], "{}"), ",") {
			if topic, ok := strings.CutPrefix(pair, "topic="); ok {
				topics[topic] = true
			}
			if group, ok := strings.CutPrefix(pair, "group="); ok {
				groups[group] = true
			}
		}
	}
	if len(topics) != 6 || !topics["other"] || len(groups) != 4 || !groups["other"] {
		t.Errorf("got the topics %v and the groups %v, want 5 and 3 and other", topics, groups)
	}
	if n := sum(series, "published_events_total"); n != 50 {
		t.Errorf("published: got %v, want 50 in all", n)
	}
	if n := series["dualstream_published_events_total{backend=memory,outcome=stored,topic=other}"]; n != 46 { // a handler that knows no topic took a place
		t.Errorf("published to other topics: got %v, want 46", n)
	}
}

func TestOneRegistryHasOneMetrics(t *testing.T) {
	r := prom.NewRegistry()
	if _, err := prometheus.New(prometheus.Options{Registerer: r}); err != nil {
		t.Fatal(err)
	}
	var again prom.AlreadyRegisteredError
	if _, err := prometheus.New(prometheus.Options{Registerer: r}); !errors.As(err, &again) {
		t.Errorf("the second: got %v, want AlreadyRegisteredError", err)
	}
	for _, o := range []prometheus.Options{{MaxTopics: -1}, {MaxGroups: -1}, {LagFresh: -1}, {LagTimeout: -1}} {
		if _, err := prometheus.New(o); !errors.Is(err, durable.ErrInvalid) {
			t.Errorf("%+v: got %v, want ErrInvalid", o, err)
		}
	}
}

// mute is a real-time backend that takes nothing while it is down.
type mute struct {
	*memory.Realtime
	down bool
}

func (m *mute) Notify(ctx context.Context, ns ...realtime.Notification) error {
	if m.down {
		return realtime.ErrUnavailable
	}
	return m.Realtime.Notify(ctx, ns...)
}

func TestTheRealTimeSideIsCounted(t *testing.T) {
	inner, err := memory.NewRealtime(memory.RealtimeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	m, r := newMetrics(t, prometheus.Options{})
	bus := &mute{Realtime: inner}
	b := m.Notify(bus)
	defer func() { _ = b.Close(context.Background()) }()
	s, err := b.Subscribe(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	d, err := realtime.NewDispatcher(b, realtime.DispatcherOptions{FailuresToOpen: 1, Batch: 1, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	m.Dispatcher("memory", d.Stats)
	d.Dispatch(realtime.Notification{Channel: "c", ID: "secret-1"})
	if _, err := s.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	for d.Stats().Sent != 1 {
		if t.Context().Err() != nil {
			t.Fatal("the dispatcher did not count")
		}
	}
	bus.down = true
	d.Dispatch(realtime.Notification{Channel: "c", ID: "secret-2"})
	for d.Stats().Breaker != realtime.BreakerOpen {
		if t.Context().Err() != nil {
			t.Fatal("the breaker did not open")
		}
	}
	got := gathered(t, r)
	for series, want := range map[string]float64{
		"dualstream_subscriptions{backend=memory}":                               1,
		"dualstream_subscription_notifications_total{backend=memory}":            1,
		"dualstream_notifications_sent_total{backend=memory}":                    1,
		"dualstream_notifications_dropped_total{backend=memory,outcome=error}":   1,
		"dualstream_breaker_state{backend=memory}":                               2,
		"dualstream_breaker_opened_total{backend=memory}":                        1,
		"dualstream_notify_duration_seconds{backend=memory,outcome=ok}":          1,
		"dualstream_notify_duration_seconds{backend=memory,outcome=unavailable}": 1,
	} {
		if got[series] != want {
			t.Errorf("%s: got %v, want %v", series, got[series], want)
		}
	}
	if err := d.Close(t.Context()); err != nil {
		t.Errorf("Close: got %v", err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: got %v", err)
		}
	}
	if n := gathered(t, r)["dualstream_subscriptions{backend=memory}"]; n != 0 {
		t.Errorf("subscriptions after Close: got %v, want 0", n)
	}
}
