package middleware_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// A router nacks whatever error it gets: it would come again an hour later.
const afterNack = time.Hour

// routed is a plain Watermill router on a Subscriber and a Publisher of b, until end.
func routed(t *testing.T, b durable.Backend, group, in, out string, chain *middleware.Chain, h message.HandlerFunc) (end func()) {
	t.Helper()
	sub, err := durable.NewSubscriber(b, durable.Group{Name: group}, durable.ProcessOptions{
		Backoff: func(int, error) time.Duration { return afterNack }, DrainTimeout: time.Second, Logger: silent,
	})
	if err != nil {
		t.Fatal(err)
	}
	pub, err := durable.NewPublisher(b, durable.PublisherOptions{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	router.AddHandler("copy", in, sub, out, pub, h)
	router.AddMiddleware(chain.Middleware)
	done := make(chan error, 1)
	go func() { done <- router.Run(context.Background()) }()
	<-router.Running()
	return func() {
		if err := errors.Join(router.Close(), <-done, sub.Close(), pub.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestAPlainRouterOnASubscriberHasThePoliciesOnAnyBackend(t *testing.T) {
	t.Parallel()
	onBackends(t, func(t *testing.T, b durable.Backend) {
		in, out, group := testenv.Name(t, "orders"), testenv.Name(t, "invoices"), testenv.Name(t, "g")
		topics(t, b, in, out, in+".poison")
		for _, id := range []string{"ok", "fails", "panics", "busy", "later"} {
			appendAll(t, b, in, event(t, id, id))
		}
		appendAll(t, b, in, event(t, "ok", "ok")) // again
		var mu sync.Mutex
		runs := map[string]int{}
		dedupe := &middleware.Dedupe{Logger: silent}
		chain, err := middleware.NewChain(poisoning(b), &middleware.Tiers{KeepOrder: true, Delays: []time.Duration{time.Millisecond}, Logger: silent},
			middleware.Retry{MaxAttempts: 2, Initial: time.Millisecond, Max: time.Millisecond},
			dedupe, &middleware.Breaker{Failures: 100, Logger: silent}, middleware.Timeout{}, middleware.Recover{Logger: silent})
		if err != nil {
			t.Fatal(err)
		}
		end := routed(t, b, group, in, out, chain, func(msg *message.Message) ([]*message.Message, error) {
			mu.Lock()
			defer mu.Unlock()
			id := msg.Metadata[durable.MetaID]
			runs[id]++
			switch {
			case id == "fails":
				return nil, errHandler
			case id == "panics":
				panic("no")
			case id == "busy" && runs[id] < 6: // more often than MaxAttempts: it does not count
				return nil, middleware.Busy(errHandler, time.Millisecond)
			case id == "later" && runs[id] == 1:
				return nil, middleware.After(errHandler, 2*time.Millisecond)
			}
			return []*message.Message{event(t, id, id)}, nil
		})
		testenv.Await(t, time.Minute, func() bool {
			return len(replayed(t, b, in+".poison")) == 2 && len(replayed(t, b, out)) == 3 && dedupe.Stats().Duplicates == 1
		}, "two are poisoned and three produced an invoice, once")
		end()
		got := ids(replayed(t, b, in+".poison"))
		if slices.Sort(got); !slices.Equal(got, []string{"fails", "panics"}) {
			t.Errorf("poisoned %v, want [fails panics]", got)
		}
		for id, want := range map[string]int{"ok": 1, "fails": 4, "panics": 4, "busy": 6, "later": 2} {
			if runs[id] != want {
				t.Errorf("the handler ran %d times for %s, want %d", runs[id], id, want)
			}
		}
		for _, r := range replayed(t, b, in+".poison") {
			m := r.Message.Metadata
			if m[middleware.MetaPoisonTopic] != in || m[middleware.MetaPoisonHandler] != "copy" || m[middleware.MetaPoisonGroup] != group ||
				m[middleware.MetaPoisonPosition] == "" || m[middleware.MetaPoisonKey] == "" {
				t.Errorf("metadata %v", m)
			}
		}
	})
}
