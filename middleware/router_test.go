package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// route runs a plain Watermill router with one handler in our chain until end.
func route(t *testing.T, pubsub *gochannel.GoChannel, chain *middleware.Chain, h message.HandlerFunc) (end func()) {
	t.Helper()
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	router.AddHandler("billing", "orders", pubsub, "invoices", pubsub, h)
	router.AddMiddleware(chain.Middleware)
	done := make(chan error, 1)
	go func() { done <- router.Run(context.Background()) }()
	<-router.Running()
	return func() {
		if err := errors.Join(router.Close(), <-done); err != nil {
			t.Error(err)
		}
	}
}

func TestAPlainWatermillRouterHasThePolicies(t *testing.T) {
	b := newMemory(t, memory.Config{})
	pubsub := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
	defer func() { _ = pubsub.Close() }()
	var runs atomic.Int64
	chain, err := middleware.NewChain(poisoning(b), middleware.Retry{MaxAttempts: 3, Initial: time.Millisecond, Max: time.Millisecond},
		&middleware.Dedupe{}, middleware.Timeout{}, middleware.Recover{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	end := route(t, pubsub, chain, func(msg *message.Message) ([]*message.Message, error) {
		switch runs.Add(1); msg.UUID {
		case "fails":
			return nil, errHandler
		case "panics":
			panic("no")
		}
		return []*message.Message{event(t, "invoice of "+msg.UUID, "a")}, nil
	})
	for _, id := range []string{"fails", "panics", "ok", "ok"} {
		if err := pubsub.Publish("orders", event(t, id, "a")); err != nil {
			t.Fatal(err)
		}
	}
	invoices, err := pubsub.Subscribe(t.Context(), "invoices")
	if err != nil {
		t.Fatal(err)
	}
	if got := <-invoices; got.UUID != "invoice of ok" || !got.Ack() {
		t.Errorf("got %s", got.UUID)
	}
	testenv.Await(t, 20*time.Second, func() bool { return len(replayed(t, b, "orders.poison")) == 2 }, "two events are poisoned")
	end()
	got := ids(replayed(t, b, "orders.poison"))
	slices.Sort(got)
	if !slices.Equal(got, []string{"fails", "panics"}) || runs.Load() != 7 {
		t.Errorf("poisoned %v after %d runs, want [fails panics] after 7", got, runs.Load())
	}
	for _, r := range replayed(t, b, "orders.poison") {
		m := r.Message.Metadata
		if m[middleware.MetaPoisonTopic] != "orders" || m[middleware.MetaPoisonHandler] != "billing" || m[middleware.MetaPoisonGroup] != "billing" ||
			m[middleware.MetaPoisonSubscriber] == "" {
			t.Errorf("metadata %v", m)
		}
	}
}

func TestClosingARouterDuringABackoffReturnsAndPoisonsNothing(t *testing.T) {
	b := newMemory(t, memory.Config{})
	pubsub := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})
	started := make(chan struct{}, 1)
	chain, err := middleware.NewChain(poisoning(b), middleware.Retry{Initial: time.Hour, Max: time.Hour, OnRetry: func(e middleware.RetryEvent) {
		if e.Topic != "orders" {
			t.Errorf("told of a retry of topic %q, want orders", e.Topic)
		}
		select {
		case started <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	end := route(t, pubsub, chain, failing(errHandler))
	if err := pubsub.Publish("orders", event(t, "1", "a")); err != nil {
		t.Fatal(err)
	}
	<-started
	end()
	if err := pubsub.Close(); err != nil {
		t.Error(err)
	}
	if got := replayed(t, b, "orders.poison"); len(got) != 0 {
		t.Errorf("%d events were poisoned", len(got))
	}
}

// A middleware as Watermill's users write them.
func correlate(h message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		out, err := h(msg)
		for _, m := range out {
			m.Metadata.Set("correlation_id", msg.Metadata.Get("correlation_id"))
		}
		return out, err
	}
}

func TestProcessTakesMiddlewareOfWatermillsShape(t *testing.T) {
	b := newMemory(t, memory.Config{})
	publisher, err := durable.NewPublisher(b, durable.PublisherOptions{Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	msg := event(t, "1", "a")
	msg.Metadata["correlation_id"] = "c"
	appendAll(t, b, "orders", msg)
	chain, err := middleware.NewChain(middleware.Retry{}, middleware.Recover{Logger: silent},
		middleware.Produce{Publisher: publisher, Topic: "invoices"}, middleware.Wrap(correlate))
	if err != nil {
		t.Fatal(err)
	}
	p := process(b, "g", chain.Middleware(func(*message.Message) ([]*message.Message, error) {
		return []*message.Message{event(t, "invoice", "a")}, nil
	}), "orders")
	testenv.Await(t, 20*time.Second, func() bool { return len(replayed(t, b, "invoices")) == 1 }, "an invoice is published")
	p.end(t)
	if got := fmt.Sprint(replayed(t, b, "invoices")[0].Message.Metadata["correlation_id"]); got != "c" {
		t.Errorf("correlation id %q, want c", got)
	}
}
