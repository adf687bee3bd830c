package middleware_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func TestAnEventWhosePoisonTopicIsDeniedWaitsAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newMemory(t, memory.Config{})
		b := &flaky{Backend: inner, part: ".poison"}
		b.set(fmt.Errorf("topic orders.poison: %w", durable.ErrDenied))
		msg := event(t, "1", "a")
		msg.Metadata["app"] = "kept"
		appendAll(t, inner, "orders", msg)
		p := poisoning(b)
		run := process(inner, "g", p.Middleware(failing(middleware.Permanent(errHandler))), "orders")
		time.Sleep(time.Minute)
		if err := p.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "access denied") {
			t.Errorf("health: got %v, want the refusal", err)
		}
		b.set(nil) // granted
		time.Sleep(time.Minute)
		run.end(t)
		got := replayed(t, inner, "orders.poison")
		if !slices.Equal(ids(got), []string{"1"}) || got[0].Message.Metadata["app"] != "kept" || p.Health(t.Context()) != nil {
			t.Errorf("poisoned %v, health %v, want the whole event once", ids(got), p.Health(t.Context()))
		}
	})
}

// closedShop is a backend whose topics nobody may create.
type closedShop struct {
	durable.Backend
	durable.Administrator
}

func (c closedShop) CreateTopic(context.Context, durable.TopicSpec) error {
	return fmt.Errorf("the user may not create topics: %w", durable.ErrDenied)
}

func TestAPoisonTopicThatMayNotBeCreatedIsNamedInHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newMemory(t, memory.Config{})
		appendAll(t, inner, "orders", event(t, "1", "a"))
		b := &flaky{Backend: inner, part: ".poison"}
		b.set(durable.ErrTopicNotFound)
		p := poisoning(closedShop{b, inner})
		run := process(inner, "g", p.Middleware(failing(middleware.Permanent(errHandler))), "orders")
		time.Sleep(time.Minute)
		if err := p.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "may not create topics") {
			t.Errorf("health: got %v, want why the topic is not there", err)
		}
		run.end(t)
	})
}
