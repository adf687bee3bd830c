package adapters_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dualstream/dualstream/durable"
)

var errHandler = errors.New("no")

func TestTheConcurrencyOfAFileIsThatOfAllItsGroups(t *testing.T) {
	for section, want := range map[string]int{"": 12, "concurrency: { max: 2 }": 2, "concurrency: { max: 5 }": 5} {
		t.Run(section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := opened(t, "durable: { backend: memory }\n"+section+"\n")
				publishOrders(t, s, "1", "2", "3", "4", "5", "6")
				h := &handling{begin: time.Now()}
				work := func(_ context.Context, e durable.Event) error {
					defer h.start(e.ID)()
					time.Sleep(time.Second)
					return nil
				}
				one, two := consume(s, "billing", work), consume(s, "shipping", work)
				time.Sleep(time.Minute)
				one.end(t)
				two.end(t)
				if ids, _ := h.sorted(); h.most != want || len(ids) != 12 {
					t.Errorf("%d of %d side by side, want %d of 12", h.most, len(ids), want)
				}
			})
		})
	}
}

func TestTheRateLimitOfAFileIsThatOfAllItsGroups(t *testing.T) {
	for section, want := range map[string]time.Duration{
		"":                                      0,
		"rate_limit: {}":                        110 * time.Millisecond, // 100 a second
		"rate_limit: {per_second: 2}":           5500 * time.Millisecond,
		"rate_limit: {per_second: 2, burst: 4}": 4 * time.Second,
	} {
		t.Run(section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := opened(t, "durable: { backend: memory }\n"+section+"\n")
				publishOrders(t, s, "1", "2", "3", "4", "5", "6")
				h := &handling{begin: time.Now()}
				work := func(_ context.Context, e durable.Event) error { h.start(e.ID)(); return nil }
				one, two := consume(s, "billing", work), consume(s, "shipping", work)
				time.Sleep(time.Minute)
				one.end(t)
				two.end(t)
				if ids, _ := h.sorted(); len(ids) != 12 || h.last() != want {
					t.Errorf("the last of %d began after %s, want of 12 after %s", len(ids), h.last(), want)
				}
			})
		})
	}
}

func TestTheTimeoutOfAFileEndsEveryAttempt(t *testing.T) {
	for section, want := range map[string]time.Duration{"timeout: {}": 30 * time.Second, "timeout: { after: 2s }": 2 * time.Second} {
		t.Run(section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := opened(t, oneByOne+"publish: { topic: orders }\npoison: {}\nretry: { max_attempts: 2, initial: 1ms, max: 1ms }\n"+section+"\n")
				publishOrders(t, s, "1")
				var took []time.Duration
				c := consume(s, "billing", func(ctx context.Context, _ durable.Event) error {
					begin := time.Now()
					<-ctx.Done()
					took = append(took, time.Since(begin))
					return ctx.Err()
				})
				time.Sleep(5 * time.Minute)
				c.end(t)
				if len(took) != 2 || took[0] != want || took[1] != want {
					t.Errorf("the attempts took %v, want 2 of %s", took, want)
				}
				if p := poisonIn(t, s, "orders.poison"); len(p) != 1 || p[0].Class != "timeout" {
					t.Errorf("poisoned %+v, want one of the class timeout", p)
				}
			})
		})
	}
}

// TestTheBreakerOfAFileHoldsEvents has a handler that fails for 30 s: an open breaker keeps the attempts away from it.
func TestTheBreakerOfAFileHoldsEvents(t *testing.T) {
	for _, c := range []struct {
		section     string
		least, most int // attempts
	}{
		{"", 100, 1 << 20},
		{"breaker: {}", 6, 6}, // five, and one that succeeds
		{"breaker: { failures: 3, open: 1m }", 4, 4},
		{"breaker: { failures: 3, open: 10s }", 5, 6}, // probes after some 10, 20 and 30 s
	} {
		t.Run(c.section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := opened(t, oneByOne+"retry: { max_attempts: 100000, initial: 1s, max: 1s }\n"+c.section+"\n")
				publishOrders(t, s, "1", "2", "3")
				h := &handling{begin: time.Now()}
				c1 := consume(s, "billing", func(_ context.Context, e durable.Event) error {
					h.start(e.ID)()
					if time.Since(h.begin) < 30*time.Second {
						return errHandler
					}
					return nil
				})
				time.Sleep(5 * time.Minute)
				c1.end(t)
				if n := len(h.ids) - 2; n < c.least || n > c.most { // two more events follow the first that succeeds
					t.Errorf("%d attempts at %v, want %d to %d", n, h.at, c.least, c.most)
				}
			})
		})
	}
}

// TestTheProbesOfAFileAreWhatAnOpenBreakerLetsThrough has events wait for a breaker while the probes take a minute.
func TestTheProbesOfAFileAreWhatAnOpenBreakerLetsThrough(t *testing.T) {
	for section, want := range map[string]int{"": 1, ", probes: 3": 3} {
		synctest.Test(t, func(t *testing.T) {
			s := opened(t, "durable: { backend: memory }\nretry: { max_attempts: 100, initial: 1ms, max: 1ms }\nbreaker: { failures: 2, open: 30s"+section+" }\n")
			publishOrders(t, s, "1", "2", "3", "4", "5", "6")
			h := &handling{begin: time.Now()}
			c := consume(s, "billing", func(_ context.Context, e durable.Event) error {
				if time.Since(h.begin) < 30*time.Second {
					return errHandler
				}
				defer h.start(e.ID)()
				time.Sleep(time.Minute)
				return nil
			})
			time.Sleep(80 * time.Second)
			if ids, _ := h.sorted(); len(ids) != want {
				t.Errorf("%q: the probes are %v, want %d of them", section, ids, want)
			}
			time.Sleep(10 * time.Minute)
			c.end(t)
			if ids, _ := h.sorted(); len(ids) != 6 {
				t.Errorf("%q: handled %v, want all six", section, ids)
			}
		})
	}
}
