package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

const (
	saveInitial = 100 * time.Millisecond // backoff of a topic that cannot be written
	saveMax     = 10 * time.Second
)

// saver stores events in another topic before they are acknowledged. What cannot be written stays unacknowledged and
// is written again, without the handler.
type saver struct {
	what     string // such as "poison"
	backend  durable.Backend
	maxBytes int
	timeout  time.Duration
	logger   *slog.Logger

	pending journal[unsaved] // under durable.Process: events whose write is still to be confirmed
	stuck   atomic.Int64     // events that wait to be written, those that wait in place included

	mu      sync.Mutex
	lastErr error // of the last write, nil where it was confirmed
}

// unsaved is an event on its way into a topic.
type unsaved struct {
	topic string
	forms []func() *message.Message                   // of the event, the fullest first
	done  func(ctx context.Context, under bool) error // the handler's result after the write was confirmed
	// refused is the handler's result where the topic will never take the event; nil: it is tried again all the same.
	refused func() error
	tries   int
	noted   bool // in stuck
}

func newSaver(what string, b durable.Backend, timeout time.Duration, logger *slog.Logger) *saver {
	s := &saver{
		what: what, backend: b, maxBytes: b.Capabilities().MaxMessageBytes,
		timeout: orDefault(timeout, DefaultWriteTimeout), logger: orDefault(logger, slog.Default()),
	}
	s.pending.gone = func(unsaved) { s.stuck.Add(-1) }
	return s
}

// resume goes on with an event of which only the write is missing.
func (s *saver) resume(ctx context.Context, d durable.Delivery) (found bool, result error) {
	if s.pending.empty() {
		return false, nil
	}
	u, ok := s.pending.get(placeOf(d))
	if !ok {
		return false, nil
	}
	return true, s.try(ctx, d, u)
}

// save stores u. Under durable.Process a write that fails is scheduled; elsewhere it is tried until ctx ends.
func (s *saver) save(ctx context.Context, d durable.Delivery, under bool, u unsaved) error {
	if under {
		return s.try(ctx, d, u)
	}
	for {
		err := s.write(ctx, u)
		if err == nil {
			s.succeeded(u)
			return u.done(ctx, false)
		}
		if u.refused != nil && refusal(err) {
			return u.refused()
		}
		u.tries++
		s.failed(u, err)
		s.stuck.Add(1)
		cause := wait(ctx, u.delay())
		s.stuck.Add(-1)
		if cause != nil {
			return interruption(cause, s.wrap(u, err))
		}
	}
}

// try writes once; what fails is noted, so that the next attempt does not run the handler.
func (s *saver) try(ctx context.Context, d durable.Delivery, u unsaved) error {
	err := s.write(ctx, u)
	if err == nil {
		s.pending.drop(placeOf(d))
		s.succeeded(u)
		return u.done(ctx, true)
	}
	if ctx.Err() != nil {
		return interruption(context.Cause(ctx), s.wrap(u, err))
	}
	if u.refused != nil && refusal(err) {
		s.pending.drop(placeOf(d))
		return u.refused()
	}
	u.tries++
	s.failed(u, err)
	if !u.noted {
		u.noted = true
		s.stuck.Add(1)
	}
	s.pending.set(ctx, placeOf(d), u)
	return Busy(s.wrap(u, err), u.delay())
}

// refusal tells whether a topic will never take the event.
func refusal(err error) bool {
	return errors.Is(err, durable.ErrTooLarge) || errors.Is(err, durable.ErrInvalid)
}

func (s *saver) wrap(u unsaved, err error) error {
	return fmt.Errorf("middleware: %s to %q: %w", s.what, u.topic, err)
}

func (u *unsaved) delay() time.Duration {
	return fullJitter(exponential(u.tries, saveInitial, saveMax))
}

// write stores the fullest form that the topic takes.
func (s *saver) write(ctx context.Context, u unsaved) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var err error
	for _, form := range u.forms {
		m := form()
		if err = durable.CheckSize(durable.Size(m), s.maxBytes); err != nil {
			continue
		}
		if _, err = appendCreating(ctx, s.backend, u.topic, m); err == nil || !errors.Is(err, durable.ErrTooLarge) {
			return err
		}
	}
	return err
}

// appendCreating is Append, which creates the topic where it does not exist and b can.
func appendCreating(ctx context.Context, b durable.Backend, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	positions, err := b.Append(ctx, topic, msgs...)
	if err == nil || !errors.Is(err, durable.ErrTopicNotFound) {
		return positions, err
	}
	admin, ok := b.(durable.Administrator)
	if !ok {
		return positions, err
	}
	if failed := admin.CreateTopic(ctx, durable.TopicSpec{Name: topic}); failed != nil {
		if errors.Is(failed, durable.ErrDenied) {
			err = fmt.Errorf("%w: create it: %w", err, failed) // the reason in words, and who can help
		}
		return positions, err
	}
	return b.Append(ctx, topic, msgs...)
}

// failed notes that a topic cannot be written; the first of a row is logged.
func (s *saver) failed(u unsaved, err error) {
	s.mu.Lock()
	first := s.lastErr == nil
	s.lastErr = err
	s.mu.Unlock()
	if first {
		s.logger.Error("middleware: a topic cannot be written, its events stay unacknowledged",
			"for", s.what, "topic", u.topic, "error", err)
	}
}

func (s *saver) succeeded(u unsaved) {
	s.mu.Lock()
	again := s.lastErr != nil
	s.lastErr = nil
	s.mu.Unlock()
	if again {
		s.logger.Info("middleware: the topic is written again", "for", s.what, "topic", u.topic)
	}
}

// health tells of events that wait to be written.
func (s *saver) health() error {
	n := s.stuck.Load()
	if n <= 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lastErr == nil {
		return nil
	}
	return fmt.Errorf("%s: %d events wait to be written: %w", s.what, n, s.lastErr)
}
