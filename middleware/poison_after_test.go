package middleware_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// on1 fails for the event 1 while broken says so.
func on1(seen *log[string], broken func() bool) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		id := msg.Metadata[durable.MetaID]
		seen.add(id)
		if id == "1" && broken() {
			return nil, middleware.Permanent(errHandler)
		}
		return nil, nil
	}
}

func always() bool { return true }

func TestParkKeyLetsTheKeyWaitAndOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		appendAll(t, b, "orders", event(t, "1", "a"), event(t, "2", "b"), event(t, "3", "a"), event(t, "4", "b"))
		p := poisoning(b)
		p.After = middleware.ParkKey
		var seen log[string]
		run := process(b, "g", p.Middleware(on1(&seen, always)), "orders")
		time.Sleep(time.Minute)
		run.end(t)
		got := seen.list()
		slices.Sort(got)
		if !slices.Equal(got, []string{"1", "2", "4"}) {
			t.Errorf("handled %v, want 1, 2 and 4: 3 waits", got)
		}
		if got := ids(replayed(t, b, "orders.poison")); !slices.Equal(got, []string{"1"}) {
			t.Errorf("poisoned %v, want [1]", got)
		}
		var later log[string]
		run = process(b, "g", p.Middleware(on1(&later, func() bool { return false })), "orders")
		time.Sleep(time.Minute)
		run.end(t)
		if got := later.list(); !slices.Contains(got, "1") || !slices.Contains(got, "3") || slices.Index(got, "1") > slices.Index(got, "3") {
			t.Errorf("after the repair: handled %v, want 1 before 3", got)
		}
	})
}

func TestStopEndsProcessWithTheFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		appendAll(t, b, "orders", event(t, "1", "a"), event(t, "2", "a"))
		p := poisoning(b)
		p.After = middleware.Stop
		var seen log[string]
		err := <-process(b, "g", p.Middleware(on1(&seen, always)), "orders").done
		var f *middleware.Failure
		if !errors.As(err, &f) || !slices.Equal(seen.list(), []string{"1"}) {
			t.Errorf("got %v after %v, want the Failure after 1", err, seen.list())
		}
		if got := ids(replayed(t, b, "orders.poison")); !slices.Equal(got, []string{"1"}) {
			t.Errorf("poisoned %v, want [1]", got)
		}
	})
}

func TestABrokenDeployIsPausedAndGoesOnByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		var msgs []*message.Message
		for i := range 100 {
			msgs = append(msgs, event(t, "e"+string(rune('0'+i/10))+string(rune('0'+i%10)), "k"+string(rune('0'+i%10))))
		}
		appendAll(t, b, "orders", msgs...)
		begin := time.Now()
		var seen log[string]
		p := poisoning(b)
		p.PauseAfter, p.ProbeEvery = 3, 10*time.Second
		h := p.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			if time.Since(begin) < time.Minute {
				return nil, errHandler
			}
			seen.add(msg.Metadata[durable.MetaID])
			return nil, nil
		})
		run := processWith(b, "g", h, durable.ProcessOptions{Concurrency: 1}, "orders")
		time.Sleep(59 * time.Second)
		if err := p.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "paused") {
			t.Errorf("health during the pause: %v", err)
		}
		if got := replayed(t, b, "orders.poison"); len(got) != 3 {
			t.Errorf("%d events were poisoned, want 3", len(got))
		}
		time.Sleep(10 * time.Minute)
		run.end(t)
		if got := seen.list(); len(got) != 97 {
			t.Errorf("%d events were handled after the repair, want 97", len(got))
		}
		if err := p.Health(t.Context()); err != nil {
			t.Errorf("health after the pause: %v", err)
		}
	})
}

func TestAPauseInPlaceWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		begin := time.Now()
		p := poisoning(b)
		p.PauseAfter, p.ProbeEvery = 1, 10*time.Second
		h := p.Middleware(func(*message.Message) ([]*message.Message, error) {
			if time.Since(begin) < time.Minute {
				return nil, errHandler
			}
			return nil, nil
		})
		if _, err := h(event(t, "1", "a")); err != nil {
			t.Fatal(err)
		}
		tries := 0
		for {
			tries++
			if _, err := h(event(t, "2", "a")); err == nil {
				break
			}
		}
		if got := ids(replayed(t, b, "poison")); tries > 7 || !slices.Equal(got, []string{"1"}) {
			t.Errorf("%d tries, poisoned %v", tries, got)
		}
	})
}

func TestUndecodableEventsAreKeptWithTheirBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &garbled{Backend: newMemory(t, memory.Config{})}
		msg := event(t, "1", "a")
		msg.Payload = []byte{0xff, 0}
		appendAll(t, b, "orders", msg)
		ran := false
		h := poisoning(b).Middleware(func(*message.Message) ([]*message.Message, error) { ran = true; return nil, nil })
		run := process(b, "g", h, "orders")
		time.Sleep(time.Minute)
		run.end(t)
		records := replayed(t, b, "orders.poison")
		if len(records) != 1 || ran {
			t.Fatalf("%d records, handler ran: %v", len(records), ran)
		}
		got := records[0].Message
		if got.Metadata[middleware.MetaPoisonClass] != middleware.ReasonUndecodable || string(got.Payload) != "\xff\x00" {
			t.Errorf("got %q of class %s", got.Payload, got.Metadata[middleware.MetaPoisonClass])
		}
	})
}

func TestEventsRedrivenForAnotherGroupAreAcknowledgedUnhandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		mine, theirs := event(t, "1", "a"), event(t, "2", "a")
		mine.Metadata[middleware.MetaRedriveGroup], theirs.Metadata[middleware.MetaRedriveGroup] = "g", "other"
		appendAll(t, b, "orders", mine, theirs, event(t, "3", "a"))
		var seen log[string]
		run := process(b, "g", poisoning(b).Middleware(on1(&seen, func() bool { return false })), "orders")
		time.Sleep(time.Minute)
		run.end(t)
		if got := seen.list(); !slices.Equal(got, []string{"1", "3"}) {
			t.Errorf("handled %v, want 1 and 3", got)
		}
		if lag, _ := b.Lag(t.Context(), "g", "orders"); lag[0].Lag+lag[0].Pending != 0 {
			t.Errorf("lag %+v, want none", lag)
		}
	})
}
