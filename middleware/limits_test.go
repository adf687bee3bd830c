package middleware_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func TestConcurrencyBoundsAllHandlersThatShareIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		c := &middleware.Concurrency{Max: 3}
		slow := func(*message.Message) ([]*message.Message, error) {
			n := running.Add(1)
			defer running.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Second)
			return nil, nil
		}
		one, two := c.Middleware(slow), c.Middleware(slow)
		begin := time.Now()
		for i := range 12 {
			h := one
			if i%2 == 0 {
				h = two
			}
			go func() { _, _ = h(event(t, "1", "a")) }()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if most.Load() != 3 || running.Load() != 0 {
			t.Errorf("%d side by side, %d still run after %s", most.Load(), running.Load(), time.Since(begin))
		}
	})
}

func TestWaitingForATurnEndsWithTheContext(t *testing.T) {
	for name, p := range map[string]middleware.Policy{
		"concurrency": &middleware.Concurrency{Max: 1}, "rate": &middleware.RateLimit{PerSecond: 0.001},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				h := p.Middleware(func(*message.Message) ([]*message.Message, error) { <-release; return nil, nil })
				go func() { _, _ = h(event(t, "1", "a")) }()
				synctest.Wait()
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				msg := event(t, "2", "a")
				msg.SetContext(ctx)
				begin := time.Now()
				_, err := h(msg)
				if middleware.ClassOf(err) != middleware.ClassBusy || err == nil || time.Since(begin) != time.Second {
					t.Errorf("got %v after %s, want a busy error after 1s", err, time.Since(begin))
				}
				close(release)
				synctest.Wait()
			})
		})
	}
}

func TestRateLimitSpreadsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := (&middleware.RateLimit{PerSecond: 10, Burst: 2}).Middleware(failing(nil))
		begin := time.Now()
		for range 22 {
			if _, err := h(event(t, "1", "a")); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("22 events took %s, want 2s", took)
		}
	})
}

func TestAnOpenBreakerHoldsEventsWithoutCountingOrPoisoning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		appendAll(t, b, "orders", event(t, "1", "a"), event(t, "2", "b"), event(t, "3", "c"))
		begin := time.Now()
		var calls atomic.Int64
		var changes log[string]
		breaker := &middleware.Breaker{
			Failures: 3, Open: 10 * time.Second, Logger: silent,
			OnChange: func(_, from, to string) { changes.add(from + ">" + to) },
		}
		stack := middleware.Stack{
			Poison: poisoning(b), Breaker: breaker,
			Retry: &middleware.Retry{MaxAttempts: 8, Backoff: func(int, error) time.Duration { return time.Millisecond }},
		}
		h, err := stack.Chain()
		if err != nil {
			t.Fatal(err)
		}
		p := process(b, "g", h.Middleware(func(*message.Message) ([]*message.Message, error) {
			calls.Add(1)
			if time.Since(begin) < time.Minute {
				return nil, errHandler
			}
			return nil, nil
		}), "orders")
		time.Sleep(50 * time.Second)
		if breaker.State() != "open" {
			t.Errorf("state %s, want open", breaker.State())
		}
		time.Sleep(5 * time.Minute)
		p.end(t)
		if n := calls.Load(); n > 15 {
			t.Errorf("the handler was called %d times", n)
		}
		if got := replayed(t, b, "orders.poison"); len(got) != 0 {
			t.Errorf("%d events were poisoned", len(got))
		}
		if lag, _ := b.Lag(t.Context(), "g", "orders"); lag[0].Lag+lag[0].Pending != 0 || breaker.State() != "closed" {
			t.Errorf("lag %+v, breaker %s", lag, breaker.State())
		}
		if got := changes.list(); got[0] != "closed>open" || got[len(got)-1] != "half-open>closed" {
			t.Errorf("changes %v", got)
		}
	})
}

func TestABreakerInPlaceWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := true
		h := (&middleware.Breaker{Failures: 1, Open: time.Minute, Logger: silent}).Middleware(func(*message.Message) ([]*message.Message, error) {
			if fails {
				return nil, errHandler
			}
			return nil, nil
		})
		if _, err := h(event(t, "1", "a")); !errors.Is(err, errHandler) {
			t.Fatal(err)
		}
		fails = false
		begin := time.Now()
		if _, err := h(event(t, "2", "a")); err != nil || time.Since(begin) < time.Minute {
			t.Errorf("got %v after %s, want nil after a minute", err, time.Since(begin))
		}
		fails = true
		_, _ = h(event(t, "3", "a"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		msg := event(t, "4", "a")
		msg.SetContext(ctx)
		if _, err := h(msg); !errors.Is(err, middleware.ErrOpen) || middleware.ClassOf(err) != middleware.ClassBusy {
			t.Errorf("got %v, want ErrOpen", err)
		}
	})
}

func TestABreakerOnTheStoringSideFailsAtOnce(t *testing.T) {
	inner := &flaky{Backend: newMemory(t, memory.Config{}), part: "orders"}
	inner.set(durable.ErrUnavailable)
	b := (&middleware.Breaker{Failures: 2, Logger: silent}).Append(inner)
	for range 5 {
		if _, err := b.Append(t.Context(), "orders", event(t, "1", "a")); !errors.Is(err, durable.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	}
	_, err := b.Append(t.Context(), "orders", event(t, "1", "a"))
	var batch *durable.BatchError
	if !errors.Is(err, middleware.ErrOpen) || !errors.As(err, &batch) || batch.Outcomes[0].Status != durable.NotSent || inner.tried.Load() != 2 {
		t.Errorf("got %v after %d calls, want ErrOpen after 2", err, inner.tried.Load())
	}
}

func TestProducedMessagesThatCannotBePublishedAreRetriedAndPoisoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newMemory(t, memory.Config{})
		b := &flaky{Backend: inner, part: "invoices"}
		b.set(durable.ErrUnavailable)
		publisher, err := durable.NewPublisher(b, durable.PublisherOptions{Logger: silent})
		if err != nil {
			t.Fatal(err)
		}
		appendAll(t, inner, "orders", event(t, "1", "a"))
		var runs atomic.Int64
		stack := middleware.Stack{
			Poison: poisoning(inner), Retry: &middleware.Retry{MaxAttempts: 4},
			Produce: &middleware.Produce{Publisher: publisher, Topic: "invoices"},
		}
		c, err := stack.Chain()
		if err != nil {
			t.Fatal(err)
		}
		h := c.Middleware(func(*message.Message) ([]*message.Message, error) {
			runs.Add(1)
			return []*message.Message{event(t, "invoice", "a")}, nil
		})
		p := process(inner, "g", h, "orders")
		time.Sleep(time.Minute)
		p.end(t)
		if runs.Load() != 4 || b.tried.Load() != 4 {
			t.Errorf("the handler ran %d times, published %d times; want 4", runs.Load(), b.tried.Load())
		}
		if got := ids(replayed(t, inner, "orders.poison")); !slices.Equal(got, []string{"1"}) {
			t.Errorf("poisoned %v, want [1]", got)
		}
		b.set(nil)
		appendAll(t, inner, "orders", event(t, "2", "a"))
		p = process(inner, "g", h, "orders")
		time.Sleep(time.Minute)
		p.end(t)
		if got := ids(replayed(t, inner, "invoices")); !slices.Equal(got, []string{"invoice"}) {
			t.Errorf("published %v, want [invoice]", got)
		}
	})
}
