package middleware

import (
	"context"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

const defaultRemedy = "use a positive value, or 0 for the default"

// notNegative is an *durable.InvalidError for a negative value.
func notNegative[T int | int64 | float64 | time.Duration](field string, v T) error {
	if v >= 0 {
		return nil
	}
	text := strconv.FormatFloat(float64(v), 'g', -1, 64)
	if d, ok := any(v).(time.Duration); ok {
		text = d.String()
	}
	return durable.Invalid(field, text, defaultRemedy)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// refusePause keeps a router that takes every error for a redelivery from spinning.
const refusePause = time.Second

// refuse is the handler of a policy whose settings make no sense: it handles nothing, so that nothing is lost.
func refuse(err error) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		ctx := msg.Context()
		if !durable.Scheduled(ctx) {
			if cause := wait(ctx, refusePause); cause != nil {
				return nil, cause
			}
		}
		return nil, durable.Stop(err)
	}
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// refuseBatch is refuse for the handler of batches.
func refuseBatch(err error) durable.BatchHandler {
	err = durable.Stop(err)
	return func(_ context.Context, ds []durable.Delivery) []error { return repeated(err, len(ds)) }
}
