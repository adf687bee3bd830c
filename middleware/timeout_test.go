package middleware_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func TestAnAttemptEndsAtItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		msg := event(t, "1", "a")
		before := msg.Context()
		var inside context.Context
		h := middleware.Timeout{After: time.Second}.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			inside = msg.Context()
			if at, ok := inside.Deadline(); !ok || time.Until(at) != time.Second {
				t.Errorf("deadline %v %v, want in 1s", at, ok)
			}
			if inside.Err() != nil {
				t.Errorf("the context had ended before its time: %v", inside.Err())
			}
			child, cancel := context.WithTimeout(inside, time.Hour)
			defer cancel()
			<-child.Done()
			return nil, child.Err()
		})
		begin := time.Now()
		_, err := h(msg)
		var late *middleware.TimeoutError
		if !errors.As(err, &late) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("got %v after %s, want a TimeoutError after 1s", err, time.Since(begin))
		}
		if middleware.ClassOf(err) != middleware.ClassRetryable {
			t.Errorf("class %s, want retryable", middleware.ClassOf(err))
		}
		if msg.Context() != before || inside.Err() == nil {
			t.Error("the message did not get its context back, or that of the attempt goes on")
		}
	})
}

func TestATimeoutThatNobodyLooksAtEndsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept context.Context
		h := middleware.Timeout{After: time.Second}.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			kept = msg.Context()
			time.Sleep(2 * time.Second)
			if !errors.Is(kept.Err(), context.DeadlineExceeded) {
				t.Errorf("after the deadline: %v", kept.Err())
			}
			return nil, nil
		})
		if _, err := h(event(t, "1", "a")); err != nil {
			t.Errorf("a late success: got %v, want nil", err)
		}
		fast := middleware.Timeout{After: time.Second}.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			kept = msg.Context()
			return nil, errHandler
		})
		if _, err := fast(event(t, "1", "a")); !errors.Is(err, errHandler) {
			t.Errorf("got %v", err)
		}
		select {
		case <-kept.Done():
		default:
			t.Error("a context that is kept after the handler does not end")
		}
		child, cancel := context.WithCancel(kept)
		defer cancel()
		if child.Err() == nil {
			t.Error("nor does its child")
		}
	})
}

func TestTheEndOfTheMessageIsNoTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		msg := event(t, "1", "a")
		msg.SetContext(ctx)
		time.AfterFunc(time.Second, cancel)
		h := middleware.Timeout{After: time.Minute}.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			<-msg.Context().Done()
			return nil, msg.Context().Err()
		})
		_, err := h(msg)
		if late := (*middleware.TimeoutError)(nil); errors.As(err, &late) || middleware.ClassOf(err) != middleware.ClassBusy {
			t.Errorf("got %v, want the cancellation", err)
		}
	})
}

func TestAPanicIsAnError(t *testing.T) {
	h := middleware.Recover{Logger: silent}.Middleware(func(*message.Message) ([]*message.Message, error) { panic(errHandler) })
	out, err := h(event(t, "1", "a"))
	var p *durable.PanicError
	if out != nil || !errors.As(err, &p) || !errors.Is(err, errHandler) || len(p.Stack) == 0 {
		t.Errorf("got %v, %v, want a PanicError with its stack", out, err)
	}
	retry := middleware.Retry{MaxAttempts: 1}.Middleware(h)
	_, err = retry(event(t, "1", "a"))
	if f := (*middleware.Failure)(nil); !errors.As(err, &f) || f.Reason != middleware.ReasonPanic {
		t.Errorf("got %v, want a Failure for a panic", err)
	}
}
