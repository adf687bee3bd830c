package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// onBackends runs f on memory, on a Redis server and on a Kafka broker.
func onBackends(t *testing.T, f func(t *testing.T, b durable.Backend)) {
	for name, open := range map[string]func(t *testing.T) (durable.Backend, error){
		"memory": func(*testing.T) (durable.Backend, error) {
			return memory.New(memory.Config{Partitions: 2, MaxMessageBytes: 1 << 20})
		},
		"redis": func(t *testing.T) (durable.Backend, error) {
			return redisstream.Open(t.Context(), redisstream.Config{Connection: redisstream.Connection{Addr: testenv.Redis(t)}, MaxMessageBytes: 1 << 20, Logger: silent})
		},
		"kafka": func(t *testing.T) (durable.Backend, error) {
			return kafka.Open(t.Context(), kafka.Config{Brokers: testenv.Kafka(t), Logger: silent})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close(context.Background()) })
			f(t, b)
		})
	}
}

// topics creates topics with two partitions each.
func topics(t *testing.T, b durable.Backend, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := b.(durable.Administrator).CreateTopic(t.Context(), durable.TopicSpec{Name: name, Partitions: 2, Replication: 1}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheStackLosesNothingOnAnyBackend(t *testing.T) {
	t.Parallel()
	onBackends(t, func(t *testing.T, b durable.Backend) {
		const n, keys = 200, 7
		topic := testenv.Name(t, "orders")
		tiers := &middleware.Tiers{Backend: b, Delays: []time.Duration{50 * time.Millisecond}, Logger: silent}
		all := append([]string{topic}, tiers.Topics(topic)...)
		topics(t, b, all...) // the poison topic and its notes are created
		var msgs []*message.Message
		for i := range n {
			msgs = append(msgs, event(t, fmt.Sprint(i), fmt.Sprint("k", i%keys)))
		}
		appendAll(t, b, topic, msgs...)
		var broken atomic.Bool
		broken.Store(true)
		var handled, poisoned log[string]
		poison := poisoning(b)
		poison.OnPoison = func(e middleware.PoisonEvent) { poisoned.add(e.Message.Metadata[durable.MetaID]) }
		h, err := middleware.Stack{
			Poison: poison, Tiers: tiers, Retry: &middleware.Retry{MaxAttempts: 2, Initial: time.Millisecond, Max: 2 * time.Millisecond},
			Dedupe: &middleware.Dedupe{}, Timeout: &middleware.Timeout{}, Recover: &middleware.Recover{Logger: silent},
		}.Chain()
		if err != nil {
			t.Fatal(err)
		}
		var tried sync.Map
		wrapped := h.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			id := msg.Metadata[durable.MetaID]
			var i int
			_, _ = fmt.Sscan(id, &i)
			switch {
			case broken.Load() && i%20 == 3:
				return nil, middleware.Permanent(errHandler)
			case broken.Load() && i%20 == 7:
				panic(id)
			case i%20 == 9:
				if _, again := tried.LoadOrStore(id, true); !again {
					return nil, errHandler
				}
			}
			handled.add(id)
			return nil, nil
		})
		group := testenv.Name(t, "g")
		p := process(b, group, wrapped, all...)
		testenv.Await(t, time.Minute, func() bool { return len(handled.list())+len(poisoned.list()) >= n }, "every event is handled or poisoned")
		if got := len(poisoned.list()); got != n/10 {
			t.Errorf("%d poisoned, want %d", got, n/10)
		}
		broken.Store(false)
		report, err := middleware.Redrive{Backend: b, Topic: topic + ".poison", Batch: 7}.Run(t.Context())
		if err != nil || report.Moved != n/10 {
			t.Fatalf("redrive: %+v, %v", report, err)
		}
		testenv.Await(t, time.Minute, func() bool { return len(handled.list()) >= n }, "every redriven event is handled")
		p.end(t)
		got := handled.list()
		slices.Sort(got)
		if len(slices.Compact(got)) != n || len(handled.list()) != n {
			t.Errorf("%d events were handled, %d of them different, want %d once", len(handled.list()), len(slices.Compact(got)), n)
		}
		report, err = middleware.Redrive{Backend: b, Topic: topic + ".poison"}.Run(t.Context())
		if err != nil || report.Done != n/10 || report.Moved != 0 {
			t.Errorf("a second redrive: %+v, %v, want nothing to do", report, err)
		}
	})
}

func TestAnEventWhosePoisonTopicIsDownSurvivesARestartOnAnyBackend(t *testing.T) {
	t.Parallel()
	onBackends(t, func(t *testing.T, b durable.Backend) {
		topic := testenv.Name(t, "orders")
		topics(t, b, topic, topic+".poison")
		appendAll(t, b, topic, event(t, "1", "a"))
		down := &flaky{Backend: b, part: ".poison"}
		down.set(durable.ErrUnavailable)
		poison := poisoning(down)
		var ran atomic.Int64
		group := testenv.Name(t, "g")
		h := poison.Middleware(func(*message.Message) ([]*message.Message, error) { ran.Add(1); return nil, errHandler })
		p := process(b, group, h, topic)
		testenv.Await(t, time.Minute, func() bool { return down.tried.Load() >= 2 && poison.Health(t.Context()) != nil }, "the write fails twice and health tells")
		p.end(t)
		if ran.Load() != 1 {
			t.Errorf("the handler ran %d times, want 1", ran.Load())
		}
		down.set(nil)
		p = process(b, group, h, topic)
		testenv.Await(t, time.Minute, func() bool { return len(replayed(t, b, topic+".poison")) > 0 }, "the event is poisoned after the restart")
		p.end(t)
	})
}

func TestLongErrorsAndAThousandKeysAreKeptOnAnyBackend(t *testing.T) {
	t.Parallel()
	onBackends(t, func(t *testing.T, b durable.Backend) {
		topic := testenv.Name(t, "orders")
		topics(t, b, topic)
		msg := event(t, "1", "a")
		for i := range 1000 {
			msg.Metadata[fmt.Sprint("key", i)] = "v"
		}
		appendAll(t, b, topic, msg)
		text := strings.Repeat("line\n\x00\xff", 1<<17)
		p := process(b, testenv.Name(t, "g"), poisoning(b).Middleware(failing(errors.New(text))), topic)
		testenv.Await(t, time.Minute, func() bool { return len(replayed(t, b, topic+".poison")) == 1 }, "the event is poisoned")
		p.end(t)
		got := replayed(t, b, topic+".poison")[0].Message.Metadata
		if reason := got[middleware.MetaPoisonReason]; len(reason) > 1<<10 || !strings.HasPrefix(reason, "line  ?line") || got["key999"] != "v" {
			t.Errorf("%d keys, reason %.20q", len(got), reason)
		}
	})
}

func TestABatchWithPermanentFailuresIsStoredOnceOnAnyBackend(t *testing.T) {
	t.Parallel()
	onBackends(t, func(t *testing.T, b durable.Backend) {
		const n = 500
		topic := testenv.Name(t, "orders")
		topics(t, b, topic)
		layers, err := middleware.PublisherStack{Poison: poisoning(b), Retry: &middleware.Retry{}, Breaker: &middleware.Breaker{Logger: silent}}.Append()
		if err != nil {
			t.Fatal(err)
		}
		publisher, err := dual.New(&unchecked{b}, nil, dual.Options{
			Topic: topic, Append: layers, Publisher: durable.PublisherOptions{MaxMessageBytes: 1 << 30, MaxInFlightBytes: 1 << 30},
		})
		if err != nil {
			t.Fatal(err)
		}
		events := make([]durable.Event, n)
		for i := range events {
			events[i] = durable.Event{ID: fmt.Sprint(i), Type: "x", SourceType: "s", SourceID: fmt.Sprint("k", i)}
			if i == 7 || i == 250 || i == 499 {
				events[i].Data = make([]byte, b.Capabilities().MaxMessageBytes)
			}
		}
		receipts, err := publisher.Publish(t.Context(), events...)
		if !errors.Is(err, durable.ErrTooLarge) || len(receipts) != n {
			t.Fatalf("%d receipts, %v, want ErrTooLarge", len(receipts), err)
		}
		got := ids(replayed(t, b, topic))
		slices.Sort(got)
		if len(got) != n-3 || len(slices.Compact(got)) != n-3 {
			t.Errorf("%d events are stored, want %d once", len(got), n-3)
		}
		kept := replayed(t, b, topic+".poison")
		if got := ids(kept); len(got) != 3 {
			t.Fatalf("poisoned %v, want 3", got)
		}
		for _, r := range kept {
			if m := r.Message.Metadata; m[middleware.MetaPoisonClass] != middleware.ReasonRejected || m[middleware.MetaPoisonCut] != "payload" {
				t.Errorf("metadata %v", m)
			}
		}
	})
}

// unchecked hides the largest message from publishers, so that the backend has to refuse it.
type unchecked struct{ durable.Backend }

func (u *unchecked) Capabilities() durable.Capabilities {
	c := u.Backend.Capabilities()
	c.MaxMessageBytes = 0
	return c
}
