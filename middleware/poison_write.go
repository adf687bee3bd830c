package middleware

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// unsaved is an event on its way into a poison topic.
type unsaved struct {
	failure *Failure
	origin  string
	topic   string
	msg     *message.Message // as it was delivered
	forms   *forms
	tries   int
	counted bool // in stuck
}

// give puts msg into its poison topic. Under durable.Process a write that fails is scheduled; elsewhere it is tried
// until the context of the message ends.
func (s *poison) give(ctx context.Context, msg *message.Message, d durable.Delivery, under bool, f *Failure) error {
	u := s.prepare(ctx, msg, d, f)
	if under {
		return s.save(ctx, d, u)
	}
	for {
		err := s.write(ctx, u)
		if err == nil {
			return s.done(ctx, u, false)
		}
		u.tries++
		s.failed(u, err)
		s.stuck.Add(1)
		cause := wait(ctx, u.delay())
		s.stuck.Add(-1)
		if cause != nil {
			return interruption(cause, fmt.Errorf("middleware: poison to %q: %w", u.topic, err))
		}
	}
}

// save tries to write u once; what fails is noted, so that the next attempt does not run the handler.
func (s *poison) save(ctx context.Context, d durable.Delivery, u unsaved) error {
	err := s.write(ctx, u)
	if err == nil {
		s.unsaved.drop(placeOf(d))
		return s.done(ctx, u, true)
	}
	if ctx.Err() != nil {
		return interruption(context.Cause(ctx), err)
	}
	u.tries++
	s.failed(u, err)
	if !u.counted {
		u.counted = true
		s.stuck.Add(1)
	}
	s.unsaved.set(ctx, placeOf(d), u)
	return Busy(fmt.Errorf("middleware: poison to %q: %w", u.topic, err), u.delay())
}

func (u *unsaved) delay() time.Duration {
	return fullJitter(exponential(u.tries, poisonInitial, poisonMax))
}

// write appends the fullest form of u that the poison topic takes.
func (s *poison) write(ctx context.Context, u unsaved) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return s.append(ctx, u.topic, u.forms)
}

// failed notes that the poison topic cannot be written; the first of a row is logged.
func (s *poison) failed(u unsaved, err error) {
	s.mu.Lock()
	first := s.lastErr == nil
	s.lastErr = err
	s.mu.Unlock()
	if first {
		s.logger.Error("middleware: a poison topic cannot be written, its events stay unacknowledged",
			"topic", u.topic, "error", err)
	}
}

// done follows a confirmed write.
func (s *poison) done(ctx context.Context, u unsaved, under bool) error {
	s.mu.Lock()
	again := s.lastErr != nil
	s.lastErr = nil
	s.mu.Unlock()
	if again {
		s.logger.Info("middleware: poison topics are written again", "topic", u.topic)
	}
	if s.gate.row.Load() == 0 {
		s.logger.Warn("middleware: an event was poisoned", "topic", u.origin, "poison", u.topic,
			"event", headerText(u.msg.UUID, maxShort), "class", u.failure.Reason, "attempts", u.failure.Attempts,
			"error", headerText(u.failure.Err.Error(), maxReason))
	}
	if s.gate.poisoned() {
		s.logger.Error("middleware: paused, so many events in a row were poisoned that the handler is taken for broken",
			"events", s.gate.after, "probe", s.gate.every)
	}
	if s.onPoison != nil {
		s.onPoison(PoisonEvent{Topic: u.origin, PoisonTopic: u.topic, Failure: u.failure, Message: u.msg})
	}
	if s.after == Continue {
		return nil
	}
	if !under {
		<-ctx.Done()
		return interruption(context.Cause(ctx), u.failure)
	}
	if s.after == ParkKey {
		return durable.Park(u.failure)
	}
	return durable.Stop(u.failure)
}
