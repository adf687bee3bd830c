package adapters_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// TestTheRetryOfAFileFollowsItsSchedule has an event that always fails.
func TestTheRetryOfAFileFollowsItsSchedule(t *testing.T) {
	for _, c := range []struct {
		section          string
		least, most      int           // attempts
		earliest, latest time.Duration // the last of them
	}{
		{"retry: {}", 5, 5, 0, 1500 * time.Millisecond},
		{"retry: { max_attempts: 2, initial: 1ms }", 2, 2, 0, time.Millisecond},
		{"retry: { max_attempts: 50, initial: 1h }", 50, 50, 10 * time.Hour, 40 * time.Hour},
		{"retry: { max_attempts: 50, initial: 1h, max: 4h }", 50, 50, 40 * time.Hour, 200 * time.Hour},
		{"retry: { max_attempts: 1000, initial: 1s, max: 1s, max_elapsed: 20s }", 21, 100, 19 * time.Second, 20 * time.Second},
	} {
		t.Run(c.section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := opened(t, oneByOne+"publish: { topic: orders }\npoison: {}\n"+c.section+"\n")
				publishOrders(t, s, "1")
				h := &handling{begin: time.Now()}
				run := consume(s, "billing", func(_ context.Context, e durable.Event) error { h.start(e.ID)(); return errHandler })
				time.Sleep(200 * time.Hour)
				run.end(t)
				if n := len(h.at); n < c.least || n > c.most || h.last() < c.earliest || h.last() > c.latest {
					t.Errorf("%d attempts, the last after %s; want %d to %d, the last after %s to %s", n, h.last(), c.least, c.most, c.earliest, c.latest)
				}
				if p := poisonIn(t, s, "orders.poison"); len(p) != 1 || p[0].Class != middleware.ReasonExhausted || p[0].Attempts != len(h.at) {
					t.Errorf("poisoned %+v after %d attempts, want one that is exhausted", p, len(h.at))
				}
			})
		})
	}
}

// TestTheTiersOfAFileDelay has the first of two events of a key fail for fifteen seconds.
func TestTheTiersOfAFileDelay(t *testing.T) {
	for _, c := range []struct {
		section string
		ids     []string
		at      []time.Duration
		topics  int
	}{
		{"tiers: { delays: [10s, 30s] }", []string{"1", "2", "1", "1"}, []time.Duration{0, 0, 10 * time.Second, 40 * time.Second}, 3},
		{"tiers: { delays: [20s] }", []string{"1", "2", "1"}, []time.Duration{0, 0, 20 * time.Second}, 2},
		{
			"tiers: { delays: [10s, 30s], keep_order: true }",
			[]string{"1", "1", "1", "2"},
			[]time.Duration{0, 10 * time.Second, 40 * time.Second, 40 * time.Second},
			1,
		},
	} {
		t.Run(c.section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := opened(t, oneByOne+"publish: { topic: orders }\npoison: {}\n"+c.section+"\n")
				for _, id := range []string{"1", "2"} {
					if _, err := s.Publisher.Publish(t.Context(), durable.Event{ID: id, Type: "order.created", SourceType: "order", SourceID: "42"}); err != nil {
						t.Fatal(err)
					}
				}
				h := &handling{begin: time.Now()}
				run := consume(s, "billing", func(_ context.Context, e durable.Event) error {
					h.start(e.ID)()
					if e.ID == "1" && time.Since(h.begin) < 15*time.Second {
						return errHandler
					}
					return nil
				})
				time.Sleep(10 * time.Minute)
				run.end(t)
				if !slices.Equal(h.ids, c.ids) || !slices.EqualFunc(h.at, c.at, func(a, b time.Duration) bool { return a.Truncate(time.Second) == b }) {
					t.Errorf("handled %v at %v, want %v at %v", h.ids, h.at, c.ids, c.at)
				}
				if topics := s.Group("billing").Topics; len(topics) != c.topics {
					t.Errorf("topics %v, want %d", topics, c.topics)
				}
			})
		})
	}
}
