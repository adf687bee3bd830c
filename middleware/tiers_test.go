package middleware_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func TestTiersAreNamedAfterTheirDelays(t *testing.T) {
	tiers := &middleware.Tiers{Delays: []time.Duration{5 * time.Second, time.Minute, 90 * time.Second, 10 * time.Minute, 2 * time.Hour}}
	want := []string{"orders.retry.5s", "orders.retry.1m", "orders.retry.1m30s", "orders.retry.10m", "orders.retry.2h"}
	if got := tiers.Topics("orders"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, bad := range []*middleware.Tiers{
		{}, {KeepOrder: true, Delays: []time.Duration{0}}, {KeepOrder: true, Delays: []time.Duration{2, 1}},
	} {
		if err := bad.Validate(); !errors.Is(err, durable.ErrInvalid) {
			t.Errorf("%+v: got %v, want ErrInvalid", bad.Delays, err)
		}
	}
}

// attempt is one run of a handler.
type attempt struct {
	id   string
	at   time.Duration
	from string
}

func TestAnEventPassesTheTiersAndEndsInThePoisonTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		at := appendAll(t, b, "orders", event(t, "1", "a"), event(t, "2", "a"))
		begin := time.Now()
		tiers := &middleware.Tiers{Backend: b, Delays: []time.Duration{10 * time.Second, time.Minute}}
		var seen log[attempt]
		stack := middleware.Stack{Poison: poisoning(b), Tiers: tiers, Retry: &middleware.Retry{MaxAttempts: 2, Initial: time.Millisecond}}
		c, err := stack.Chain()
		if err != nil {
			t.Fatal(err)
		}
		h := c.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			d, _ := durable.DeliveryOf(msg.Context())
			seen.add(attempt{msg.Metadata[durable.MetaID], time.Since(begin).Truncate(time.Second), d.Topic})
			if msg.Metadata[durable.MetaID] == "1" {
				return nil, errHandler
			}
			return nil, nil
		})
		topics := append([]string{"orders"}, tiers.Topics("orders")...)
		p := process(b, "g", h, topics...)
		other := process(b, "other", middleware.Redriven{}.Middleware(tiersOf(b).Middleware(failing(nil))), topics...)
		time.Sleep(10 * time.Minute)
		p.end(t)
		other.end(t)
		want := []attempt{
			{"1", 0, "orders"},
			{"1", 0, "orders"},
			{"2", 0, "orders"},
			{"1", 10 * time.Second, "orders.retry.10s"},
			{"1", 10 * time.Second, "orders.retry.10s"},
			{"1", 70 * time.Second, "orders.retry.1m"},
			{"1", 70 * time.Second, "orders.retry.1m"},
		}
		if got := seen.list(); !slices.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
		records := replayed(t, b, "orders.poison")
		if len(records) != 1 {
			t.Fatalf("%d poisoned, want 1", len(records))
		}
		m := records[0].Message.Metadata
		for k, v := range map[string]string{
			middleware.MetaPoisonTopic: "orders", middleware.MetaPoisonPosition: string(at[0]), middleware.MetaPoisonAttempts: "6",
			middleware.MetaPoisonFirst: begin.UTC().Format(time.RFC3339Nano), middleware.MetaTierDue: "",
		} {
			if m[k] != v {
				t.Errorf("%s: got %q, want %q", k, m[k], v)
			}
		}
	})
}

func tiersOf(b durable.Backend) *middleware.Tiers {
	return &middleware.Tiers{Backend: b, Logger: silent}
}

func TestATierThatCannotBeWrittenHoldsTheEvent(t *testing.T) {
	each(t, func(t *testing.T, run func(message.HandlerFunc, time.Duration) (error, bool)) {
		inner := newMemory(t, memory.Config{})
		b := &flaky{Backend: inner, part: "retry"}
		b.set(durable.ErrUnavailable)
		tiers := tiersOf(b)
		tiers.TopicOf = func(string, time.Duration) string { return "the.retry" }
		ran := 0
		h := tiers.Middleware(func(*message.Message) ([]*message.Message, error) { ran++; return nil, errHandler })
		time.AfterFunc(time.Minute, func() {
			if err := tiers.Health(t.Context()); !errors.Is(err, durable.ErrUnavailable) {
				t.Errorf("health: %v", err)
			}
			b.set(nil)
		})
		err, acked := run(h, 5*time.Minute)
		if err != nil || !acked || ran != 1 || len(replayed(t, inner, "the.retry")) != 1 {
			t.Errorf("got %v, acked %v, handler ran %d times", err, acked, ran)
		}
	})
}

func TestPermanentFailuresPassTheTiers(t *testing.T) {
	b := newMemory(t, memory.Config{})
	_, err := tiersOf(b).Middleware(failing(middleware.Permanent(errHandler)))(event(t, "1", "a"))
	if f := (*middleware.Failure)(nil); !errors.As(err, &f) || f.Reason != middleware.ReasonPermanent {
		t.Errorf("got %v, want a permanent Failure", err)
	}
}

func TestKeepOrderLetsTheKeyWaitBehindItsEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		appendAll(t, b, "orders", event(t, "1", "a"), event(t, "2", "a"), event(t, "3", "b"))
		begin := time.Now()
		var seen log[string]
		tiers := &middleware.Tiers{KeepOrder: true, Delays: []time.Duration{10 * time.Second, time.Minute}}
		h := tiers.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			id := msg.Metadata[durable.MetaID]
			seen.add(fmt.Sprint(id, "@", time.Since(begin).Truncate(time.Second)))
			if id == "1" && time.Since(begin) < time.Minute {
				return nil, errHandler
			}
			return nil, nil
		})
		p := process(b, "g", h, "orders")
		time.Sleep(10 * time.Minute)
		p.end(t)
		got := seen.list()
		slices.Sort(got[:2])
		if want := []string{"1@0s", "3@0s", "1@10s", "1@1m10s", "2@1m10s"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
