package middleware

import (
	"context"
	"errors"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// ErrorClass names an error of Append or Notify by one of a few words, for the labels of metrics and the attributes of
// spans: too_large, invalid, backpressure, denied, unavailable, closed, topic_not_found, fenced, unsupported, timeout and
// canceled. It is "" for any other error.
func ErrorClass(err error) string {
	for _, c := range [...]struct {
		target error
		name   string
	}{
		{durable.ErrTooLarge, "too_large"},
		{durable.ErrInvalid, "invalid"},
		{realtime.ErrInvalid, "invalid"},
		{durable.ErrBackpressure, "backpressure"},
		{durable.ErrDenied, "denied"},
		{realtime.ErrDenied, "denied"},
		{durable.ErrUnavailable, "unavailable"},
		{realtime.ErrUnavailable, "unavailable"},
		{durable.ErrClosed, "closed"},
		{realtime.ErrClosed, "closed"},
		{durable.ErrTopicNotFound, "topic_not_found"},
		{durable.ErrFenced, "fenced"},
		{durable.ErrUnsupported, "unsupported"},
		{context.DeadlineExceeded, "timeout"},
		{context.Canceled, "canceled"},
	} {
		if errors.Is(err, c.target) {
			return c.name
		}
	}
	return ""
}
