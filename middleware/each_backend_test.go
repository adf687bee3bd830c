package middleware_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// bench is where one policy is tried on one backend.
type bench struct {
	*testing.T
	b            durable.Backend
	topic, group string
	calls        atomic.Int64 // of the handler
}

// failingOnce is a handler whose first call does what first does, and whose other ones succeed.
func (e *bench) failingOnce(first func(*message.Message) error) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		if e.calls.Add(1) == 1 {
			return nil, first(msg)
		}
		return nil, nil
	}
}

func (e *bench) retry(on func(middleware.RetryEvent)) middleware.Retry {
	return middleware.Retry{Initial: time.Millisecond, Max: time.Millisecond, OnRetry: on}
}

// run handles msgs in the policies until all of them are acknowledged.
func (e *bench) run(h message.HandlerFunc, msgs []*message.Message, policies ...middleware.Policy) {
	e.Helper()
	c, err := middleware.NewChain(policies...)
	if err != nil {
		e.Fatal(err)
	}
	appendAll(e, e.b, e.topic, msgs...)
	monitor := new(durable.Monitor)
	p := processWith(e.b, e.group, c.Middleware(h), durable.ProcessOptions{Monitor: monitor, Concurrency: 8}, e.topic)
	testenv.Await(e, time.Minute, func() bool { return monitor.Stats().Total().Acked >= uint64(len(msgs)) }, "every event is acknowledged")
	p.end(e)
}

func (e *bench) wantCalls(want int64) {
	e.Helper()
	if got := e.calls.Load(); got != want {
		e.Errorf("the handler ran %d times, want %d", got, want)
	}
}

func failed(*message.Message) error { return errHandler }

// sixKeys are six events that can be handled side by side.
func sixKeys(t *testing.T) []*message.Message {
	t.Helper()
	var out []*message.Message
	for i := range 6 {
		out = append(out, event(t, fmt.Sprint(i), fmt.Sprint("k", i)))
	}
	return out
}

// eachPolicy are the policies and what is to hold of each on every backend.
var eachPolicy = map[string]func(e *bench){
	"retry": func(e *bench) {
		var delays atomic.Int64
		e.run(e.failingOnce(failed), []*message.Message{event(e.T, "1", "a")}, e.retry(func(middleware.RetryEvent) { delays.Add(1) }))
		e.wantCalls(2)
		if delays.Load() != 1 {
			e.Errorf("OnRetry was called %d times, want 1", delays.Load())
		}
	},
	"recover": func(e *bench) {
		var why log[error]
		e.run(e.failingOnce(func(*message.Message) error { panic("no") }), []*message.Message{event(e.T, "1", "a")},
			e.retry(func(r middleware.RetryEvent) { why.add(r.Err) }), middleware.Recover{Logger: silent})
		var p *durable.PanicError
		if e.wantCalls(2); len(why.list()) != 1 || !errors.As(why.list()[0], &p) {
			e.Errorf("tried again for %v, want one PanicError", why.list())
		}
	},
	"timeout": func(e *bench) {
		var why log[error]
		e.run(e.failingOnce(func(msg *message.Message) error { <-msg.Context().Done(); return msg.Context().Err() }),
			[]*message.Message{event(e.T, "1", "a")},
			e.retry(func(r middleware.RetryEvent) { why.add(r.Err) }), middleware.Timeout{After: 50 * time.Millisecond})
		var late *middleware.TimeoutError
		if e.wantCalls(2); len(why.list()) != 1 || !errors.As(why.list()[0], &late) {
			e.Errorf("tried again for %v, want one TimeoutError", why.list())
		}
	},
	"poison and redriven": func(e *bench) {
		foreign := event(e.T, "2", "a")
		foreign.Metadata[middleware.MetaRedriveGroup] = "another"
		e.run(func(*message.Message) ([]*message.Message, error) {
			e.calls.Add(1)
			return nil, middleware.Permanent(errHandler)
		}, []*message.Message{event(e.T, "1", "a"), foreign}, poisoning(e.b), middleware.Redriven{})
		e.wantCalls(1)
		if got := ids(replayed(e, e.b, e.topic+".poison")); !slices.Equal(got, []string{"1"}) {
			e.Errorf("poisoned %v, want 1", got)
		}
	},
	"tiers": func(e *bench) {
		tiers := &middleware.Tiers{Backend: e.b, Delays: []time.Duration{time.Millisecond}, Logger: silent}
		e.run(e.failingOnce(failed), []*message.Message{event(e.T, "1", "a")}, tiers)
		e.wantCalls(1)
		if got := ids(replayed(e, e.b, e.topic+".retry.1ms")); !slices.Equal(got, []string{"1"}) {
			e.Errorf("in the tier: %v, want 1", got)
		}
	},
	"dedupe": func(e *bench) {
		d := &middleware.Dedupe{Logger: silent}
		e.run(e.failingOnce(failed), []*message.Message{event(e.T, "1", "a"), event(e.T, "1", "a")}, e.retry(nil), d)
		if e.wantCalls(2); d.Stats().Duplicates != 1 {
			e.Errorf("%d duplicates, want 1: the failed try is none", d.Stats().Duplicates)
		}
	},
	"breaker": func(e *bench) {
		var changes log[string]
		b := &middleware.Breaker{
			Failures: 1, Open: 20 * time.Millisecond, Logger: silent,
			OnChange: func(_, from, to string) { changes.add(from + ">" + to) },
		}
		e.run(e.failingOnce(failed), sixKeys(e.T), poisoning(e.b), middleware.Retry{MaxAttempts: 2, Initial: time.Millisecond}, b)
		e.wantCalls(7)
		want := []string{"closed>open", "open>half-open", "half-open>closed"}
		if got := changes.list(); !slices.Equal(got, want) || len(replayed(e, e.b, e.topic+".poison")) != 0 {
			e.Errorf("changes %v, want %v and nothing poisoned", got, want)
		}
	},
	"concurrency": func(e *bench) {
		var mu sync.Mutex
		e.run(func(*message.Message) ([]*message.Message, error) {
			if !mu.TryLock() {
				e.Error("two are handled side by side, want one")
				return nil, nil
			}
			defer mu.Unlock()
			e.calls.Add(1)
			return nil, nil
		}, sixKeys(e.T), &middleware.Concurrency{Max: 1})
		e.wantCalls(6)
	},
	"rate limit": func(e *bench) {
		var came, at log[time.Time] // a handler may begin late, but no event is let through before it came
		e.run(func(*message.Message) ([]*message.Message, error) { at.add(time.Now()); return nil, nil }, sixKeys(e.T),
			middleware.Wrap(func(h message.HandlerFunc) message.HandlerFunc {
				return func(msg *message.Message) ([]*message.Message, error) { came.add(time.Now()); return h(msg) }
			}), &middleware.RateLimit{PerSecond: 50})
		first, last := slices.MinFunc(came.list(), time.Time.Compare), slices.MaxFunc(at.list(), time.Time.Compare)
		if took := last.Sub(first); len(at.list()) != 6 || took < 90*time.Millisecond {
			e.Errorf("%d events within %s, want 6 of 50/s", len(at.list()), took)
		}
	},
	"filter": func(e *bench) {
		f := &middleware.Filter{Types: []string{"order.paid"}}
		e.run(e.failingOnce(func(*message.Message) error { return nil }), []*message.Message{event(e.T, "1", "a"), typed(e.T, "order.paid")}, f)
		if e.wantCalls(1); f.Filtered() != 1 {
			e.Errorf("%d filtered, want 1", f.Filtered())
		}
	},
	"logging": func(e *bench) {
		out := new(log[string])
		logger := slog.New(slog.NewTextHandler(writer{out}, nil))
		e.run(e.failingOnce(failed), []*message.Message{event(e.T, "1", "a")},
			middleware.Logging{Logger: logger, Success: slog.LevelInfo}, e.retry(nil))
		position := string(replayed(e, e.b, e.topic)[0].Position)
		lines := out.list()
		if e.wantCalls(2); len(lines) != 2 || !strings.Contains(lines[0], "event failed") || !strings.Contains(lines[1], "event done") ||
			!strings.Contains(lines[1], "attempt=2") || !strings.Contains(lines[1], "position="+position) {
			e.Errorf("logged %q, want both attempts at %s", lines, position)
		}
	},
	"produce": func(e *bench) {
		publisher, err := durable.NewPublisher(e.b, durable.PublisherOptions{Logger: silent})
		if err != nil {
			e.Fatal(err)
		}
		e.run(func(msg *message.Message) ([]*message.Message, error) {
			return []*message.Message{event(e.T, "invoice of "+msg.Metadata[durable.MetaID], "a")}, nil
		}, []*message.Message{event(e.T, "1", "a")}, e.retry(nil), middleware.Produce{Publisher: publisher, Topic: e.topic + ".out"})
		if got := ids(replayed(e, e.b, e.topic+".out")); !slices.Equal(got, []string{"invoice of 1"}) {
			e.Errorf("produced %v", got)
		}
	},
}

// writer makes one element of each write.
type writer struct{ out *log[string] }

func (w writer) Write(p []byte) (int, error) { w.out.add(string(p)); return len(p), nil }

func TestEachPolicyHoldsOnAnyBackend(t *testing.T) {
	t.Parallel()
	onBackends(t, func(t *testing.T, b durable.Backend) {
		for name, try := range eachPolicy {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				e := &bench{T: t, b: b, topic: testenv.Name(t, "orders"), group: testenv.Name(t, "g")}
				topics(t, b, e.topic, e.topic+".poison", e.topic+".out", e.topic+".retry.1ms")
				try(e)
			})
		}
	})
}
