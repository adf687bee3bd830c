package middleware

import (
	"context"
	"errors"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// lastWord is the failure that err is for an event that nothing tries again, or the error to pass on; neither: the
// event is skipped.
func lastWord(ctx context.Context, d durable.Delivery, err error) (*Failure, error) {
	if ctx.Err() != nil {
		return nil, interruption(context.Cause(ctx), err)
	}
	if durable.VerbOf(err) != durable.VerbRetry {
		return nil, err
	}
	var f *Failure
	if errors.As(err, &f) {
		return f, nil
	}
	class := ClassOf(err)
	switch class {
	case ClassSkip:
		return nil, nil
	case ClassBusy:
		return nil, durable.Release(err)
	default:
	}
	if _, again := durable.RetryDelay(err); again && class != ClassPermanent {
		return nil, err
	}
	reason := reasonOf(err, class)
	if reason == ReasonExhausted {
		reason = ReasonFailed
	}
	return firstFailure(d, err, reason), nil
}

func firstFailure(d durable.Delivery, err error, reason string) *Failure {
	now := time.Now()
	return &Failure{Err: err, Reason: reason, Attempts: max(d.Attempt, 1), First: now, Last: now}
}
