package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func TestAnErrorBesideASkippedOneIsNotSkipped(t *testing.T) {
	skip, lasting := middleware.Skip(errors.New("of no interest")), middleware.Permanent(errHandler)
	for _, c := range []struct {
		err  error
		want middleware.Class
	}{
		{errors.Join(skip, errHandler), middleware.ClassRetryable},
		{errors.Join(errHandler, skip), middleware.ClassRetryable},
		{fmt.Errorf("both: %w", errors.Join(skip, errHandler)), middleware.ClassRetryable},
		{errors.Join(skip, durable.Undecodable(errHandler)), middleware.ClassPermanent},
		{errors.Join(skip, lasting), middleware.ClassPermanent},
		{errors.Join(skip, skip), middleware.ClassSkip},
		{middleware.Skip(errors.Join(errHandler, lasting)), middleware.ClassSkip},
	} {
		if got := middleware.ClassOf(c.err); got != c.want {
			t.Errorf("%q: got %s, want %s", c.err, got, c.want)
		}
	}
}

func TestACancellationThatIsATimeoutOrAPanicIsAFailure(t *testing.T) {
	late := &middleware.TimeoutError{After: time.Second, Err: fmt.Errorf("query: %w", context.Canceled)}
	if !errors.Is(late, context.DeadlineExceeded) {
		t.Error("a TimeoutError does not match context.DeadlineExceeded")
	}
	for _, err := range []error{late, &durable.PanicError{Value: context.Canceled}} {
		if got := middleware.ClassOf(err); got != middleware.ClassRetryable {
			t.Errorf("%v: got %s, want retryable", err, got)
		}
	}
}

func TestAHandlerWhoseOwnContextEndedIsNotTriedForEver(t *testing.T) {
	each(t, func(t *testing.T, run func(message.HandlerFunc, time.Duration) (error, bool)) {
		b := newMemory(t, memory.Config{})
		ran := 0
		h := poisoning(b).Middleware(middleware.Retry{MaxAttempts: 3}.Middleware(func(*message.Message) ([]*message.Message, error) {
			ran++
			return nil, fmt.Errorf("query: %w", context.Canceled)
		}))
		err, acked := run(h, time.Hour)
		if err != nil || !acked || ran != 3 {
			t.Errorf("got %v, acked %v, handler ran %d times, want it poisoned after 3", err, acked, ran)
		}
	})
}

func TestWhatATierRefusesIsPoisonedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{MaxMessageBytes: 600})
		msg := event(t, "1", "a")
		msg.Payload = make([]byte, 600-durable.Size(msg)+len(msg.Payload))
		appendAll(t, b, "orders", msg)
		tiers := tiersOf(b)
		p := process(b, "g", poisoning(b).Middleware(tiers.Middleware(failing(errHandler))), "orders")
		time.Sleep(time.Hour)
		p.end(t)
		if got := replayed(t, b, "orders.poison"); len(got) != 1 {
			t.Errorf("%d events in the poison topic, want the one that no tier takes", len(got))
		}
		if err := tiers.Health(t.Context()); err != nil {
			t.Errorf("health: %v", err)
		}
	})
}

func TestUndecodableEventsDoNotDrainThroughAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		for _, id := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"} {
			appendAll(t, b, "orders", event(t, id, id))
		}
		p := poisoning(b)
		p.PauseAfter = 3
		run := processWith(&garbled{b}, "g", p.Middleware(failing(nil)), durable.ProcessOptions{Concurrency: 1}, "orders")
		time.Sleep(time.Hour)
		run.end(t)
		if got := replayed(t, b, "orders.poison"); len(got) != 3 {
			t.Errorf("%d events were poisoned, want 3 and then a pause", len(got))
		}
	})
}
