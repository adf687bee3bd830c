package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/realtime"
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

func TestWhatIsDeniedIsNotSentAgainNorKept(t *testing.T) {
	for _, status := range []durable.Status{durable.Rejected, durable.NotSent} {
		inner := newMemory(t, memory.Config{})
		calls := 0
		refusing := middleware.WrapAppend(inner, func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
			if topic != "orders" {
				return inner.Append(ctx, topic, msgs...)
			}
			calls++
			return make([]durable.Position, len(msgs)), durable.FailAll(topic, len(msgs), status, durable.ErrDenied)
		})
		layers, err := middleware.PublisherStack{Poison: poisoning(inner), Retry: &middleware.Retry{Initial: time.Millisecond}}.Append()
		if err != nil {
			t.Fatal(err)
		}
		b := refusing
		for _, wrap := range slices.Backward(layers) {
			b = wrap(b)
		}
		if _, err := b.Append(t.Context(), "orders", event(t, "1", "a")); !errors.Is(err, durable.ErrDenied) || calls != 1 {
			t.Errorf("%s: got %v after %d calls, want ErrDenied after one", status, err, calls)
		}
		if got := replayed(t, inner, "orders.poison"); len(got) != 0 {
			t.Errorf("%s: %d events are in the poison topic, want none: there is nothing wrong with them", status, len(got))
		}
	}
}

func TestANotificationThatIsDeniedIsNotSentAgain(t *testing.T) {
	bus, err := memory.NewRealtime(memory.RealtimeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bus.Close(context.Background()) }()
	calls := 0
	b := middleware.Retry{Initial: time.Millisecond}.Notify(middleware.WrapNotify(bus, func(context.Context, ...realtime.Notification) error {
		calls++
		return realtime.ErrDenied
	}))
	if err := b.Notify(t.Context(), realtime.Notification{Channel: "events:order:1"}); !errors.Is(err, realtime.ErrDenied) || calls != 1 {
		t.Errorf("got %v after %d calls, want ErrDenied after one", err, calls)
	}
}
