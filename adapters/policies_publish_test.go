package adapters_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/realtime"
)

// unstorable makes the storing side of a publisher fail left times.
func unstorable(out *outage, left int64) func(*dual.Options) {
	out.left.Store(left)
	return func(o *dual.Options) {
		o.Append = append(o.Append, func(b durable.Backend) durable.Backend { out.Backend = b; return out })
	}
}

func TestTheRetryOfAFileBoundsPublishing(t *testing.T) {
	const down = 1 << 20
	for _, c := range []struct {
		section     string
		least, most int64 // appends
		latest      time.Duration
	}{
		{"", 1, 1, 0},
		{"retry: { publish: false }", 1, 1, 0},
		{"retry: {}", 5, 5, 1500 * time.Millisecond},
		{"retry: { max_attempts: 3, initial: 1ms }", 3, 3, 3 * time.Millisecond},
		{"retry: { max_attempts: 1000, initial: 1s, max: 1s, max_elapsed: 20s }", 21, 100, 20 * time.Second},
	} {
		t.Run(c.section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := new(outage)
				s := opened(t, "durable: { backend: memory }\n"+c.section+"\n", unstorable(out, down))
				begin := time.Now()
				_, err := s.Publisher.Publish(t.Context(), durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"})
				took, n := time.Since(begin), down-out.left.Load()
				if !errors.Is(err, durable.ErrUnavailable) || n < c.least || n > c.most || took > c.latest {
					t.Errorf("got %v after %d appends in %s, want ErrUnavailable after %d to %d in %s", err, n, took, c.least, c.most, c.latest)
				}
			})
		})
	}
}

func TestTheBreakerOfAFileFailsPublishingAtOnce(t *testing.T) {
	const down = 1 << 20
	for _, c := range []struct {
		section string
		appends int64
		open    bool
	}{
		{"", 9, false},
		{"breaker: {}", 9, false}, // of the handlers alone
		{"breaker: { publish: true }", 5, true},
		{"breaker: { publish: true, failures: 2 }", 2, true},
		{"breaker: { publish: true, failures: 2 }\nretry: {}", 2, true},
	} {
		t.Run(c.section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				out := new(outage)
				s := opened(t, "durable: { backend: memory }\n"+c.section+"\n", unstorable(out, down))
				event := durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"}
				var err error
				var took time.Duration // of the last
				for range 9 {
					begin := time.Now()
					_, err = s.Publisher.Publish(t.Context(), event)
					took = time.Since(begin)
				}
				if c.open && took > 0 {
					t.Errorf("an open breaker held Publish for %s", took)
				}
				if n := down - out.left.Load(); n != c.appends || errors.Is(err, middleware.ErrOpen) != c.open || !errors.Is(err, durable.ErrUnavailable) {
					t.Errorf("got %v after %d appends, want ErrUnavailable after %d, by the breaker: %t", err, n, c.appends, c.open)
				}
				out.left.Store(0)
				time.Sleep(time.Minute)
				if _, err := s.Publisher.Publish(t.Context(), event); err != nil {
					t.Errorf("after the outage: %v, want nil", err)
				}
			})
		})
	}
}

// busOutage is a bus whose first announcements fail.
type busOutage struct {
	realtime.Backend
	left atomic.Int64
}

func (o *busOutage) Notify(ctx context.Context, ns ...realtime.Notification) error {
	if o.left.Add(-1) >= 0 {
		return realtime.ErrUnavailable
	}
	return o.Backend.Notify(ctx, ns...)
}

func TestTheRetryOfAFileAnnouncesAgainWhereItSaysSo(t *testing.T) {
	for section, want := range map[string]uint64{
		"": 0, "retry: {}": 0, "retry: { announce: true }": 1, "retry: { announce: true, max_attempts: 2 }": 0,
		"retry: { announce: true, initial: 1h, max: 1h }": 0,
	} {
		t.Run(section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := opened(t, "durable: { backend: memory }\nrealtime: { backend: memory }\n"+section+"\n", func(o *dual.Options) {
					o.Notify = append(o.Notify, func(b realtime.Backend) realtime.Backend {
						out := &busOutage{Backend: b}
						out.left.Store(2)
						return out
					})
				})
				if _, err := s.Publisher.Publish(t.Context(), durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if bus := s.Publisher.Stats().Bus; bus.Sent != want || bus.Dropped.Total() != 1-want {
					t.Errorf("%d announced, %d dropped; want %d and %d", bus.Sent, bus.Dropped.Total(), want, 1-want)
				}
			})
		})
	}
}
