package middleware_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func TestOrdersThatLoseEventsAreRefusedWithTheReason(t *testing.T) {
	b := newMemory(t, memory.Config{})
	publisher, err := durable.NewPublisher(b, durable.PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]middleware.Policy{
		"poison": poisoning(b), "tiers": tiersOf(b), "retry": middleware.Retry{}, "dedupe": &middleware.Dedupe{},
		"breaker": &middleware.Breaker{}, "timeout": middleware.Timeout{}, "recover": middleware.Recover{},
		"produce": middleware.Produce{Publisher: publisher, Topic: "x"}, "other": middleware.Wrap(nothing),
	}
	order := []string{"other", "poison", "tiers", "retry", "dedupe", "breaker", "timeout", "recover", "produce"}
	var good []middleware.Policy
	for i, outer := range order {
		good = append(good, all[outer])
		for _, inner := range order[i+1:] {
			if _, err := middleware.NewChain(all[outer], all[inner]); err != nil {
				t.Errorf("%s outside of %s: %v", outer, inner, err)
			}
		}
	}
	if _, err := middleware.NewChain(good...); err != nil {
		t.Errorf("the default order is refused: %v", err)
	}
	for _, pair := range []string{
		"retry poison", "dedupe retry", "recover poison", "recover retry", "dedupe poison", "dedupe tiers", "timeout retry",
		"timeout poison", "breaker retry", "breaker poison", "produce retry", "produce poison", "produce dedupe", "retry tiers",
		"tiers poison", "retry retry",
	} {
		outer, inner, _ := strings.Cut(pair, " ")
		_, err := middleware.NewChain(all[outer], all["other"], all[inner])
		var bad *durable.InvalidError
		if !errors.As(err, &bad) || bad.Field != "Chain" || bad.Remedy == "" || !strings.Contains(bad.Value, outer) {
			t.Errorf("%s: got %v, want a refusal with the reason", pair, err)
		}
	}
	inner, err := middleware.NewChain(all["poison"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := middleware.NewChain(all["retry"], inner); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("poison of a chain inside of retry: got %v", err)
	}
	if _, err := middleware.NewChain(nil); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("nil: got %v", err)
	}
	if _, err := (middleware.Stack{Poison: &middleware.Poison{}}).Chain(); err == nil || !strings.Contains(err.Error(), "Poison.Backend") {
		t.Errorf("a policy that makes no sense: got %v", err)
	}
}

func nothing(h message.HandlerFunc) message.HandlerFunc { return h }

func TestPoliciesRunOutermostFirst(t *testing.T) {
	var got []string
	named := func(name string) middleware.Policy {
		return middleware.Wrap(func(h message.HandlerFunc) message.HandlerFunc {
			return func(msg *message.Message) ([]*message.Message, error) {
				got = append(got, name)
				return h(msg)
			}
		})
	}
	h, err := middleware.Stack{Tracing: named("tracing"), Metrics: named("metrics"), Retry: &middleware.Retry{}}.Handler(
		func(*message.Message) ([]*message.Message, error) { got = append(got, "handler"); return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := h(event(t, "1", "a")); err != nil || !slices.Equal(got, []string{"metrics", "tracing", "handler"}) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestMessagesThatNothingPublishesEndProcess(t *testing.T) {
	b := newMemory(t, memory.Config{})
	appendAll(t, b, "orders", event(t, "1", "a"))
	h, err := middleware.Stack{}.Handler(func(*message.Message) ([]*message.Message, error) {
		return []*message.Message{event(t, "2", "a")}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = durable.Process(t.Context(), b, durable.Group{Name: "g", Topics: durable.Topics("orders")}, h, durable.ProcessOptions{Logger: silent})
	if err == nil || !strings.Contains(err.Error(), "add Produce") {
		t.Errorf("got %v, want the remedy", err)
	}
}

func TestThePublishersStackHasItsOrder(t *testing.T) {
	b := newMemory(t, memory.Config{})
	layers, err := middleware.PublisherStack{Poison: poisoning(b), Retry: &middleware.Retry{}, Breaker: &middleware.Breaker{}}.Append()
	if err != nil || len(layers) != 3 {
		t.Fatalf("got %d layers, %v", len(layers), err)
	}
	if _, err := (middleware.PublisherStack{Retry: &middleware.Retry{Max: -1}}).Append(); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}
