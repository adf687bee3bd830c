package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/realtime"
)

func TestErrorsOfBackendsHaveOneOfAFewNames(t *testing.T) {
	for err, want := range map[error]string{
		durable.ErrTooLarge:                     "too_large",
		durable.Invalid("ID", "", "x"):          "invalid",
		realtime.ErrInvalid:                     "invalid",
		durable.ErrBackpressure:                 "backpressure",
		durable.ErrDenied:                       "denied",
		realtime.ErrDenied:                      "denied",
		durable.ErrUnavailable:                  "unavailable",
		realtime.ErrUnavailable:                 "unavailable",
		durable.ErrClosed:                       "closed",
		realtime.ErrClosed:                      "closed",
		durable.ErrTopicNotFound:                "topic_not_found",
		durable.ErrFenced:                       "fenced",
		durable.ErrUnsupported:                  "unsupported",
		context.DeadlineExceeded:                "timeout",
		context.Canceled:                        "canceled",
		errors.New("order secret-id-7 is gone"): "",
	} {
		if got := middleware.ErrorClass(fmt.Errorf("append: %w", err)); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
	both := fmt.Errorf("%w: %w", durable.ErrUnavailable, context.DeadlineExceeded)
	if got := middleware.ErrorClass(both); got != "unavailable" {
		t.Errorf("a broker that did not answer in time: got %q, want unavailable", got)
	}
}
