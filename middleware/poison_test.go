package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// flaky is a backend whose appends to some topics fail.
type flaky struct {
	durable.Backend
	fail  atomic.Pointer[error] // of appends to topics with this
	part  string
	tried atomic.Int64
}

func (f *flaky) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	if err := f.fail.Load(); err != nil && strings.Contains(topic, f.part) {
		f.tried.Add(1)
		return make([]durable.Position, len(msgs)), durable.FailAll(topic, len(msgs), durable.NotSent, *err)
	}
	return f.Backend.Append(ctx, topic, msgs...)
}

func (f *flaky) set(err error) {
	if err == nil {
		f.fail.Store(nil)
		return
	}
	f.fail.Store(&err)
}

func failing(err error) message.HandlerFunc {
	return func(*message.Message) ([]*message.Message, error) { return nil, err }
}

func poisoning(b durable.Backend) *middleware.Poison {
	return &middleware.Poison{Backend: b, Logger: silent}
}

func TestWhatCannotBeHandledIsKeptWithItsStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		at := appendAll(t, b, "orders", event(t, "1", "a"), event(t, "2", "a"))
		begin := time.Now()
		var told []middleware.PoisonEvent
		p := poisoning(b)
		p.OnPoison = func(e middleware.PoisonEvent) { told = append(told, e) }
		var seen log[string]
		h := p.Middleware(middleware.Retry{MaxAttempts: 3, Backoff: func(int, error) time.Duration { return time.Second }}.Middleware(
			func(msg *message.Message) ([]*message.Message, error) {
				seen.add(msg.Metadata[durable.MetaID])
				if msg.Metadata[durable.MetaID] == "1" {
					return nil, errHandler
				}
				return nil, nil
			}))
		run := process(b, "billing", h, "orders")
		time.Sleep(time.Minute)
		run.end(t)
		if got := seen.list(); !slices.Equal(got, []string{"1", "1", "1", "2"}) {
			t.Errorf("handled %v, want 1 three times, then 2", got)
		}
		records := replayed(t, b, "orders.poison")
		if len(records) != 1 || len(told) != 1 || told[0].PoisonTopic != "orders.poison" {
			t.Fatalf("got %d records, told of %v", len(records), told)
		}
		got := records[0].Message
		want := message.Metadata{
			middleware.MetaPoisonReason: "handler failed", middleware.MetaPoisonTopic: "orders",
			middleware.MetaPoisonClass: middleware.ReasonExhausted, middleware.MetaPoisonAttempts: "3",
			middleware.MetaPoisonFirst: begin.UTC().Format(time.RFC3339Nano), middleware.MetaPoisonLast: begin.Add(2 * time.Second).UTC().Format(time.RFC3339Nano),
			middleware.MetaPoisonPosition: string(at[0]), middleware.MetaPoisonPartition: "0",
			middleware.MetaPoisonKey: "a", middleware.MetaPoisonGroup: "billing",
			middleware.MetaPoisonStored: got.Metadata[middleware.MetaPoisonStored],
		}
		for k, v := range event(t, "1", "a").Metadata {
			if k != durable.MetaTime {
				want[k] = v
			}
		}
		for k, v := range want {
			if got.Metadata[k] != v {
				t.Errorf("%s: got %q, want %q", k, got.Metadata[k], v)
			}
		}
		if got.UUID != "1" || string(got.Payload) != "data of 1" || records[0].Key != "a" {
			t.Errorf("got %s %q %s", got.UUID, got.Payload, records[0].Key)
		}
	})
}

func TestWhatIsNoFailureIsNeverPoisoned(t *testing.T) {
	for name, err := range map[string]error{
		"cancelled": fmt.Errorf("query: %w", context.Canceled), "busy": middleware.Busy(errHandler, time.Hour),
		"reserved": middleware.ErrBusy, "released": durable.Release(errHandler), "asks for another": middleware.After(errHandler, time.Hour),
		"parked": durable.Park(errHandler),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newMemory(t, memory.Config{})
				appendAll(t, b, "orders", event(t, "1", "a"))
				p := process(b, "g", poisoning(b).Middleware(failing(err)), "orders")
				time.Sleep(time.Minute)
				p.end(t)
				if got := replayed(t, b, "orders.poison"); len(got) != 0 {
					t.Errorf("%d events were poisoned", len(got))
				}
				if lag, _ := b.Lag(t.Context(), "g", "orders"); lag[0].Lag+lag[0].Pending != 1 {
					t.Errorf("lag %+v, want the event unacknowledged", lag)
				}
			})
		})
	}
}

func TestAnEventWhoseContextEndsIsNotPoisoned(t *testing.T) {
	b := newMemory(t, memory.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	msg := event(t, "1", "a")
	msg.SetContext(ctx)
	_, err := poisoning(b).Middleware(func(*message.Message) ([]*message.Message, error) {
		cancel()
		return nil, middleware.Permanent(errHandler)
	})(msg)
	if err == nil || middleware.ClassOf(err) != middleware.ClassBusy || len(replayed(t, b, "poison")) != 0 {
		t.Errorf("got %v, want a busy error and nothing poisoned", err)
	}
}

func TestSkippedEventsAreAcknowledged(t *testing.T) {
	b := newMemory(t, memory.Config{})
	if _, err := poisoning(b).Middleware(failing(middleware.Skip(errHandler)))(event(t, "1", "a")); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

func TestAPoisonTopicThatIsDownHoldsTheEventWithoutTheHandler(t *testing.T) {
	each(t, func(t *testing.T, run func(message.HandlerFunc, time.Duration) (error, bool)) {
		b := &flaky{Backend: newMemory(t, memory.Config{}), part: "poison"}
		b.set(durable.ErrUnavailable)
		ran := 0
		p := poisoning(b)
		p.TopicOf = func(string) string { return "the.poison" }
		h := p.Middleware(func(*message.Message) ([]*message.Message, error) { ran++; return nil, errHandler })
		var during error
		time.AfterFunc(time.Minute, func() {
			during = p.Health(t.Context())
			if b.tried.Load() > 100 {
				t.Errorf("%d writes in a minute: it spins", b.tried.Load())
			}
			b.set(nil)
		})
		err, acked := run(h, 5*time.Minute)
		if err != nil || !acked || ran != 1 {
			t.Errorf("got %v, acked %v, handler ran %d times; want nil, true, 1", err, acked, ran)
		}
		if !errors.Is(during, durable.ErrUnavailable) || p.Health(t.Context()) != nil {
			t.Errorf("health while down: %v, after: %v", during, p.Health(t.Context()))
		}
		if got := ids(replayed(t, b, "the.poison")); !slices.Equal(got, []string{"1"}) {
			t.Errorf("poisoned %v, want [1]", got)
		}
	})
}

func TestAShutdownWhileThePoisonTopicIsDownLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &flaky{Backend: newMemory(t, memory.Config{}), part: "poison"}
		b.set(durable.ErrUnavailable)
		appendAll(t, b, "orders", event(t, "1", "a"))
		p := poisoning(b)
		h := p.Middleware(failing(errHandler))
		run := process(b, "g", h, "orders")
		time.Sleep(time.Minute)
		run.end(t)
		synctest.Wait() // what a claim leaves behind is forgotten once its context has ended
		if err := p.Health(t.Context()); err != nil {
			t.Errorf("health after the events went to others: %v, want nil", err)
		}
		b.set(nil)
		run = process(b, "g", h, "orders")
		time.Sleep(time.Minute)
		run.end(t)
		if got := ids(replayed(t, b, "orders.poison")); !slices.Equal(got, []string{"1"}) {
			t.Errorf("poisoned %v, want [1]", got)
		}
	})
}

func TestACrashBetweenPoisonAndAcknowledgementDuplicatesAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		appendAll(t, b, "orders", event(t, "1", "a"))
		h := poisoning(b).Middleware(failing(errHandler))
		crash := func(msg *message.Message) ([]*message.Message, error) {
			if _, err := h(msg); err != nil {
				t.Error(err)
			}
			return nil, durable.Stop(errors.New("crash")) // the acknowledgement never happens
		}
		if err := <-process(b, "g", crash, "orders").done; err == nil {
			t.Fatal("no crash")
		}
		run := process(b, "g", h, "orders")
		time.Sleep(time.Minute)
		run.end(t)
		if got := ids(replayed(t, b, "orders.poison")); !slices.Equal(got, []string{"1", "1"}) {
			t.Errorf("poisoned %v, want [1 1]", got)
		}
	})
}

func TestErrorTextsAndLargeMetadataAreMadeToFit(t *testing.T) {
	b := newMemory(t, memory.Config{})
	text := "line\nline\r\x00\xff é" + strings.Repeat("é", 1<<19)
	msg := event(t, "1", "a")
	for i := range 1000 {
		msg.Metadata["key"+strconv.Itoa(i)] = "v"
	}
	if _, err := poisoning(b).Middleware(failing(errors.New(text)))(msg); err != nil {
		t.Fatal(err)
	}
	got := replayed(t, b, "poison")[0].Message.Metadata
	reason := got[middleware.MetaPoisonReason]
	if len(reason) > 1<<10 || len(reason) < 1000 || !utf8.ValidString(reason) || strings.ContainsAny(reason, "\n\r\x00") {
		t.Errorf("reason of %d bytes: %.40q", len(reason), reason)
	}
	if got["key999"] != "v" || got[middleware.MetaPoisonCut] != "" {
		t.Errorf("the metadata were cut: %d keys", len(got))
	}
}

func TestWhatIsTooLargeForThePoisonTopicIsCut(t *testing.T) {
	for name, c := range map[string]struct {
		header, payload int
		cut             string
	}{
		"fits": {10, 10, ""}, "headers": {1900, 10, "headers"}, "payload": {10, 1800, "payload"}, "both": {1700, 1700, "payload"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, poison := newMemory(t, memory.Config{MaxMessageBytes: 1 << 20}), newMemory(t, memory.Config{MaxMessageBytes: 2000})
				msg := event(t, "1", "a")
				msg.Metadata["app"] = strings.Repeat("x", c.header)
				msg.Payload = []byte(strings.Repeat("x", c.payload))
				at := appendAll(t, b, "orders", msg)
				p := process(b, "g", poisoning(poison).Middleware(failing(errHandler)), "orders")
				time.Sleep(time.Minute)
				p.end(t)
				records := replayed(t, poison, "orders.poison")
				if len(records) != 1 {
					t.Fatalf("%d records, want 1", len(records))
				}
				got := records[0].Message
				if cut := got.Metadata[middleware.MetaPoisonCut]; cut != c.cut {
					t.Errorf("cut %q, want %q", cut, c.cut)
				}
				want := string(msg.Payload)
				if c.cut == "payload" {
					want = fmt.Sprintf(`{"topic":"orders","position":%q}`, at[0])
				}
				if string(got.Payload) != want || got.Metadata[durable.MetaID] != "1" || (got.Metadata["app"] != "") != (c.cut == "") {
					t.Errorf("got %.80q with %d metadata", got.Payload, len(got.Metadata))
				}
			})
		})
	}
}

func TestSettingsOfPoisonThatMakeNoSenseAreNamed(t *testing.T) {
	b := newMemory(t, memory.Config{})
	for want, p := range map[string]*middleware.Poison{
		"Poison.Backend":      {},
		"Poison.After":        {Backend: b, After: 7},
		"Poison.PauseAfter":   {Backend: b, PauseAfter: -1},
		"Poison.ProbeEvery":   {Backend: b, ProbeEvery: -1},
		"Poison.WriteTimeout": {Backend: b, WriteTimeout: -1},
	} {
		var bad *durable.InvalidError
		if err := p.Validate(); !errors.As(err, &bad) || bad.Field != want {
			t.Errorf("got %v, want an InvalidError for %s", err, want)
		}
	}
}
