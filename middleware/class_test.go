package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func TestSettingsThatMakeNoSenseAreNamed(t *testing.T) {
	for _, c := range []struct {
		policy interface{ Validate() error }
		want   string
	}{
		{middleware.Retry{}, ""},
		{middleware.Retry{Initial: time.Minute}, ""},
		{middleware.Retry{MaxAttempts: -1}, `invalid Retry.MaxAttempts "-1": use a positive value, or 0 for the default`},
		{middleware.Retry{Initial: -time.Second}, `invalid Retry.Initial "-1s": use a positive value, or 0 for the default`},
		{middleware.Retry{MaxElapsed: -time.Second}, `invalid Retry.MaxElapsed "-1s": use a positive value, or 0 for the default`},
		{middleware.Retry{Max: time.Millisecond}, `invalid Retry.Max "1ms": use at least Initial (100ms)`},
		{middleware.Retry{Initial: time.Minute, Max: time.Second}, `invalid Retry.Max "1s": use at least Initial (1m0s)`},
		{middleware.Timeout{After: -time.Second}, `invalid Timeout.After "-1s": use a positive value, or 0 for the default`},
		{middleware.Recover{}, ""},
	} {
		err := c.policy.Validate()
		if got := fmt.Sprint(err); err != nil && (got != c.want || !errors.Is(err, durable.ErrInvalid)) || err == nil && c.want != "" {
			t.Errorf("%+v: got %v, want %s", c.policy, err, c.want)
		}
	}
}

func TestAPolicyThatMakesNoSenseEndsProcess(t *testing.T) {
	b := newMemory(t, memory.Config{})
	appendAll(t, b, "orders", event(t, "1", "a"))
	h := middleware.Retry{MaxAttempts: -1}.Middleware(func(*message.Message) ([]*message.Message, error) {
		t.Error("the handler ran")
		return nil, nil
	})
	if err := <-process(b, "g", h, "orders").done; !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestErrorsHaveTheirClasses(t *testing.T) {
	for _, c := range []struct {
		err  error
		want middleware.Class
	}{
		{errHandler, middleware.ClassRetryable},
		{context.DeadlineExceeded, middleware.ClassRetryable},
		{durable.ErrDenied, middleware.ClassRetryable}, // nothing is wrong with the event
		{middleware.After(errHandler, time.Second), middleware.ClassRetryable},
		{middleware.Permanent(errHandler), middleware.ClassPermanent},
		{fmt.Errorf("more: %w", middleware.Permanent(context.Canceled)), middleware.ClassPermanent},
		{errors.Join(errHandler, middleware.Permanent(errHandler)), middleware.ClassPermanent},
		{durable.Undecodable(errHandler), middleware.ClassPermanent},
		{&middleware.Failure{Err: middleware.After(errHandler, 1)}, middleware.ClassPermanent},
		{middleware.Skip(errHandler), middleware.ClassSkip},
		{middleware.Busy(errHandler, time.Second), middleware.ClassBusy},
		{middleware.ErrBusy, middleware.ClassBusy},
		{durable.Release(middleware.Permanent(errHandler)), middleware.ClassBusy},
		{fmt.Errorf("query: %w", context.Canceled), middleware.ClassBusy},
	} {
		if got := middleware.ClassOf(c.err); got != c.want {
			t.Errorf("%v: got %s, want %s", c.err, got, c.want)
		}
	}
	if middleware.Permanent(nil) != nil || middleware.Skip(nil) != nil || middleware.Busy(nil, 1) != nil || middleware.After(nil, 1) != nil {
		t.Error("a nil error did not stay nil")
	}
}
