package middleware_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// able is a backend with every optional ability.
type able struct {
	durable.Backend
	asked []string
}

func (a *able) note(what string) error {
	a.asked = append(a.asked, what)
	return nil
}

func (a *able) Groups(context.Context, string) ([]string, error) { return nil, a.note("groups") }
func (a *able) ResetGroup(context.Context, string, string, durable.Start) error {
	return a.note("reset")
}
func (a *able) DeleteGroup(context.Context, string, string) error { return a.note("delete") }
func (a *able) Trim(context.Context, string, durable.Trim) (durable.Trimmed, error) {
	return durable.Trimmed{}, a.note("trim")
}

func (a *able) Remove(context.Context, string, ...durable.Position) (int64, error) {
	return 0, a.note("remove")
}

// unable is a backend without optional abilities.
type unable struct{ durable.Backend }

func TestAWrappedBackendKeepsItsAbilities(t *testing.T) {
	inner := &able{Backend: newMemory(t, memory.Config{})}
	for _, b := range []durable.Backend{inner, unable{inner.Backend}} {
		w := middleware.WrapAppend(b, func(context.Context, string, ...*message.Message) ([]durable.Position, error) { return nil, nil })
		admin, ok1 := w.(durable.GroupAdministrator)
		trimmer, ok2 := w.(durable.Trimmer)
		remover, ok3 := w.(durable.Remover)
		if !ok1 || !ok2 || !ok3 {
			t.Fatalf("the wrapped backend administers groups %t, trims %t, removes %t, want all", ok1, ok2, ok3)
		}
		_, groups := admin.Groups(t.Context(), "orders")
		_, trim := trimmer.Trim(t.Context(), "orders", durable.Trim{})
		_, remove := remover.Remove(t.Context(), "orders")
		errs := []error{groups, admin.ResetGroup(t.Context(), "g", "orders", durable.Oldest()), admin.DeleteGroup(t.Context(), "g", "orders"), trim, remove}
		for i, err := range errs {
			if b == inner && err != nil || b != inner && !errors.Is(err, durable.ErrUnsupported) {
				t.Errorf("%T, ability %d: got %v", b, i, err)
			}
		}
	}
	if want := []string{"groups", "trim", "remove", "reset", "delete"}; !slices.Equal(inner.asked, want) {
		t.Errorf("the backend was asked for %v, want %v", inner.asked, want)
	}
}

func TestACallerThatLeftDoesNotCloseTheBreakerOfAPublisher(t *testing.T) {
	for err, want := range map[error]string{context.Canceled: "half-open", nil: "closed"} {
		b := &flaky{Backend: newMemory(t, memory.Config{})}
		b.set(durable.ErrUnavailable)
		breaker := &middleware.Breaker{Failures: 1, Open: 1, Logger: silent}
		w := breaker.Append(b)
		_, _ = w.Append(t.Context(), "orders", event(t, "1", "a"))
		b.set(err)
		_, _ = w.Append(t.Context(), "orders", event(t, "2", "a"))
		if got := breaker.State(); got != want {
			t.Errorf("after a probe that ended with %v: %s, want %s", err, got, want)
		}
	}
}
