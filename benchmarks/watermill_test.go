package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	peers "github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func TestWatermillsPoisonKeysAreOurs(t *testing.T) {
	for got, want := range map[string]string{
		middleware.MetaPoisonReason: peers.ReasonForPoisonedKey, middleware.MetaPoisonTopic: peers.PoisonedTopicKey,
		middleware.MetaPoisonHandler: peers.PoisonedHandlerKey, middleware.MetaPoisonSubscriber: peers.PoisonedSubscriberKey,
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Process runs a handler in Watermill's PoisonQueue, Retry, Timeout and Recoverer; what they poison is redriven by ours.
func TestProcessTakesWatermillsMiddleware(t *testing.T) {
	b, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	publisher, err := durable.NewPublisher(b, durable.PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"fails", "panics", "ok"} {
		msg, err := durable.Event{ID: id, Type: "order.created", SourceType: "order", SourceID: "42"}.Message("")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Append(t.Context(), "orders", msg); err != nil {
			t.Fatal(err)
		}
	}
	poison, err := peers.PoisonQueue(publisher, "orders.poison")
	if err != nil {
		t.Fatal(err)
	}
	chain, err := middleware.NewChain(middleware.Wrap(poison),
		middleware.Wrap(peers.Retry{MaxRetries: 2, InitialInterval: time.Millisecond, ResetContextOnRetry: true}.Middleware),
		middleware.Wrap(peers.Timeout(time.Minute)), middleware.Wrap(peers.Recoverer))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	runs := 0
	h := chain.Handler(func(msg *message.Message) ([]*message.Message, error) {
		runs++
		switch msg.UUID {
		case "fails":
			return nil, errors.New("no")
		case "panics":
			panic("no")
		}
		stop()
		return nil, nil
	})
	group := durable.Group{Name: "g", Topics: durable.Topics("orders")}
	if err := durable.Process(ctx, b, group, h, durable.ProcessOptions{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	if runs != 7 {
		t.Errorf("%d runs, want 7", runs)
	}
	r := middleware.Redrive{Backend: b, Topic: "orders.poison", To: func(middleware.PoisonRecord) string { return "orders" }}
	if report, err := r.Run(t.Context()); err != nil || report.Moved != 2 {
		t.Errorf("redrive: %+v, %v, want 2 moved", report, err)
	}
}
