package adapters_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

func opened(t *testing.T, text string, with ...func(*dual.Options)) *dual.Stack {
	t.Helper()
	cfg, err := dual.Parse("f.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	with = append(with, func(o *dual.Options) { o.Logger = silent })
	s, err := dual.Open(t.Context(), cfg, adapters.All(), with...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func TestAFileBuildsTheStackOfAConsumer(t *testing.T) {
	s := opened(t, `
durable: { backend: memory, memory: { partitions: 1 } }
publish: { topic: orders }
retry: { max_attempts: 3, initial: 1ms, max: 2ms }
tiers: { delays: [1ms] }
poison: {}
dedupe: { store: memory, keep: 1h }
breaker: { failures: 100 }
concurrency: { max: 4 }
rate_limit: { per_second: 100000, burst: 1000 }
timeout: { after: 5s }
`)
	for _, id := range []string{"ok", "ok", "panics"} {
		if _, err := s.Publisher.Publish(t.Context(), durable.Event{ID: id, Type: "order.created", SourceType: "order", SourceID: "42"}); err != nil {
			t.Fatal(err)
		}
	}
	var handled, panicked atomic.Int64
	h := s.HandleEvent("billing", func(ctx context.Context, e durable.Event) error {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the handler has no deadline")
		}
		if e.ID == "panics" {
			panicked.Add(1)
			panic(e.ID)
		}
		handled.Add(1)
		return nil
	})
	group := s.Group("billing")
	if want := durable.Topics("orders", "orders.retry.1ms"); !slices.EqualFunc(group.Topics, want, func(a, b durable.TopicStart) bool { return a.Topic == b.Topic }) {
		t.Errorf("topics %v, want %v", group.Topics, want)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- durable.Process(ctx, s.Durable, group, h, s.Process) }()
	var poisoned []middleware.PoisonRecord
	testenv.Await(t, time.Minute, func() bool {
		poisoned = nil
		for p, err := range (middleware.Redrive{Backend: s.Durable, Topic: "orders.poison"}).List(t.Context()) {
			if err == nil {
				poisoned = append(poisoned, p)
			}
		}
		return len(poisoned) == 1
	}, "the event that panics is poisoned")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	p := poisoned[0]
	if p.ID != "panics" || p.Class != middleware.ReasonPanic || p.Attempts != 6 || p.Group != "billing" || p.Origin != "orders" {
		t.Errorf("poisoned %+v", p)
	}
	if handled.Load() != 1 || panicked.Load() != 6 {
		t.Errorf("handled %d times, want 1: the second is a duplicate; panicked %d times, want 6", handled.Load(), panicked.Load())
	}
	if err := s.Health(t.Context()); err != nil {
		t.Errorf("health: %v", err)
	}
}

// outage is a backend whose first appends fail.
type outage struct {
	durable.Backend
	left atomic.Int64
}

func (o *outage) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	if o.left.Add(-1) >= 0 {
		return make([]durable.Position, len(msgs)), durable.FailAll(topic, len(msgs), durable.NotSent, durable.ErrUnavailable)
	}
	return o.Backend.Append(ctx, topic, msgs...)
}

func TestAFileBuildsTheStackOfAPublisher(t *testing.T) {
	event := durable.Event{Type: "order.created", SourceType: "order", SourceID: "42"}
	down := func(o *dual.Options) {
		o.Append = append(o.Append, func(b durable.Backend) durable.Backend {
			out := &outage{Backend: b}
			out.left.Store(3)
			return out
		})
	}
	s := opened(t, "durable: { backend: memory }\nretry: { initial: 1ms }\n", down)
	if _, err := s.Publisher.Publish(t.Context(), event); err != nil {
		t.Errorf("with retry: %v, want nil", err)
	}
	s = opened(t, "durable: { backend: memory }\nretry: { initial: 1ms, publish: false }\n", down)
	if _, err := s.Publisher.Publish(t.Context(), event); !errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("without: %v, want ErrUnavailable", err)
	}
	reject := func(o *dual.Options) {
		o.Append = append(o.Append, func(b durable.Backend) durable.Backend {
			return middleware.WrapAppend(b, func(_ context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
				return make([]durable.Position, len(msgs)), durable.FailAll(topic, len(msgs), durable.Rejected, durable.ErrTooLarge)
			})
		})
	}
	s = opened(t, "durable: { backend: memory }\npoison: { keep_rejected: true, topic: lost }\n", reject)
	if _, err := s.Publisher.Publish(t.Context(), event); !errors.Is(err, durable.ErrTooLarge) {
		t.Errorf("rejected: %v, want ErrTooLarge", err)
	}
	n := 0
	for _, err := range s.Durable.Replay(t.Context(), "lost", durable.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d rejected events were kept, want 1", n)
	}
}

func TestRedisDedupeIsReachedThroughASharedConnection(t *testing.T) {
	s := opened(t, "connections: { main: { addr: '"+testenv.Redis(t)+"' } }\n"+
		"durable: { backend: memory }\ndedupe: { store: redis, redis: { connection: main, prefix: '"+testenv.Name(t, "d")+"' } }\n")
	if err := s.Health(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestBadSectionsOfPoliciesAreRefusedWithLinePathAndRemedy(t *testing.T) {
	const file = "durable: { backend: memory }\n"
	for _, c := range []struct{ text, want string }{
		{"retry: { max_attempts: -1 }", `f.yaml:2: retry.max_attempts: bad value "-1"; `},
		{"retry: { max: 1ms }", `f.yaml:2: retry.max: bad value "1ms"; write at least initial, which is 100ms by default`},
		{"retry: { maxattempts: 1 }", `f.yaml:2: retry.maxattempts: unknown key; did you mean "max_attempts"?`},
		{"filter: {}", `f.yaml:2: filter.types: missing; name the types of events that are handled, or write patterns`},
		{"process: { stall_after: soon }", `f.yaml:2: process.stall_after: "soon" is not a duration; `},
		{"rety: {}", `f.yaml:2: rety: unknown key; did you mean "retry"?`},
		{"poison: { after: never }", `f.yaml:2: poison.after: bad value "never"; write continue, park_key or stop`},
		{"poison: { topic: a/b }", `f.yaml:2: poison.topic: bad value "a/b"; write the name of a topic, or remove the key for {topic}.poison`},
		{"tiers: { delays: [1m, 1s] }", `f.yaml:2: tiers.delays: bad value "[1m0s 1s]"; write positive delays that grow, such as [5s, 1m, 10m]`},
		{"dedupe: { store: disk }", `f.yaml:2: dedupe.store: bad value "disk"; write memory or redis`},
		{"dedupe: { store: redis }", `f.yaml:2: dedupe.redis.addr: missing; write host:port`},
		{"logging: { success: loud }", `f.yaml:2: logging.success: bad value "loud"; write debug, info, warn or error`},
		{"dedupe: { lease: 1us }", `f.yaml:2: dedupe.lease: bad value "1µs"; write at least 1ms`},
		{"rate_limit: { per_second: -1.5 }", `f.yaml:2: rate_limit.per_second: bad value "-1.5"; write a number from 0, or remove the key for the default`},
	} {
		cfg, err := dual.Parse("f.yaml", []byte(file+c.text+"\n"))
		if err == nil {
			err = cfg.Check(adapters.All())
		}
		if err == nil || len(err.Error()) < len(c.want) || err.Error()[:len(c.want)] != c.want || !errors.Is(err, dual.ErrConfig) {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}
