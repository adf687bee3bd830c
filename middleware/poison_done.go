package middleware

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// done follows the confirmed write of msg, an event of topic origin, and is the result of its handler.
func (s *poison) done(ctx context.Context, under bool, msg *message.Message, origin, topic string, f *Failure) error {
	if s.gate.row.Load() == 0 {
		s.logger.Warn("middleware: an event was poisoned", "topic", origin, "poison", topic,
			"event", headerText(msg.UUID, maxShort), "class", f.Reason, "attempts", f.Attempts,
			"error", headerText(f.Err.Error(), maxReason))
	}
	if s.gate.poisoned() {
		s.logger.Error("middleware: paused, so many events in a row were poisoned that the handler is taken for broken",
			"events", s.gate.after, "probe", s.gate.every)
	}
	if s.onPoison != nil {
		s.onPoison(PoisonEvent{Topic: origin, PoisonTopic: topic, Failure: f, Message: msg})
	}
	switch {
	case s.after == Continue:
		return nil
	case !under:
		<-ctx.Done()
		return interruption(context.Cause(ctx), f)
	case s.after == ParkKey:
		return durable.Park(f)
	default:
		return durable.Stop(f)
	}
}
