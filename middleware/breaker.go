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
	"github.com/sony/gobreaker/v2"

	"github.com/dualstream/dualstream/durable"
)

// Defaults of Breaker.
const (
	DefaultBreakerFailures = 5
	DefaultBreakerOpen     = 30 * time.Second
	DefaultBreakerProbes   = 1
)

// ErrOpen matches the error of an event that came while a Breaker was open.
var ErrOpen = errors.New("circuit breaker is open")

// Breaker stops calling a handler that fails: after Failures in a row it is open, and events wait; after Open it lets
// Probes of them through, whose success closes it. An event that comes meanwhile is busy: under durable.Process it comes
// again, elsewhere it waits in place. It is never poisoned for it and uses up no attempt.
//
// It counts what ClassOf calls retryable; a permanent error is an answer, and what is busy counts for nothing. It
// belongs inside of Retry. The breaker is sony/gobreaker's.
//
// A Breaker must not be copied after its first use.
type Breaker struct {
	// Failures in a row that open it. Defaults to 5.
	Failures int
	// Open is how long it stays open. Defaults to 30 s.
	Open time.Duration
	// Probes is how many events are let through at once after that, and how many must succeed. Defaults to 1.
	Probes int
	// Name is that of the logs. Defaults to "handler".
	Name string
	// OnChange is told of every change of state: "closed", "half-open" or "open". The breaker waits for it meanwhile:
	// it must not call State, and not block.
	OnChange func(name, from, to string)
	// Logger is told of every change of state. Defaults to slog.Default().
	Logger *slog.Logger

	once sync.Once
	cb   *gobreaker.CircuitBreaker[[]*message.Message]
	wait time.Duration
	due  atomic.Int64 // Unix nanoseconds at which an open breaker lets a probe through
}

// Validate returns an *durable.InvalidError that names the field that makes no sense, or nil.
func (b *Breaker) Validate() error {
	return firstError(
		notNegative("Breaker.Failures", b.Failures), notNegative("Breaker.Open", b.Open), notNegative("Breaker.Probes", b.Probes),
	)
}

// State is "closed", "half-open" or "open".
func (b *Breaker) State() string {
	if b.Validate() != nil {
		return gobreaker.StateClosed.String()
	}
	b.init()
	return b.cb.State().String()
}

func (b *Breaker) init() {
	b.once.Do(func() {
		failures := uint32(orDefault(b.Failures, DefaultBreakerFailures))
		b.wait = orDefault(b.Open, DefaultBreakerOpen)
		b.cb = gobreaker.NewCircuitBreaker[[]*message.Message](gobreaker.Settings{
			Name: orDefault(b.Name, "handler"), Timeout: b.wait,
			MaxRequests:   uint32(orDefault(b.Probes, DefaultBreakerProbes)),
			ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
			IsSuccessful:  func(err error) bool { return err == nil || ClassOf(err) != ClassRetryable },
			IsExcluded:    func(err error) bool { return err != nil && ClassOf(err) == ClassBusy },
			OnStateChange: b.changed,
		})
	})
}

func (b *Breaker) changed(name string, from, to gobreaker.State) {
	if to == gobreaker.StateOpen {
		b.due.Store(time.Now().Add(b.wait).UnixNano())
	}
	orDefault(b.Logger, slog.Default()).Warn("middleware: circuit breaker", "name", name, "from", from.String(), "to", to.String())
	if b.OnChange != nil {
		b.OnChange(name, from.String(), to.String())
	}
}

// Middleware wraps h.
func (b *Breaker) Middleware(h message.HandlerFunc) message.HandlerFunc {
	if err := b.Validate(); err != nil {
		return refuse(err)
	}
	b.init()
	return func(msg *message.Message) ([]*message.Message, error) {
		ctx := msg.Context()
		for {
			out, err := b.cb.Execute(func() ([]*message.Message, error) { return h(msg) })
			if !refusedByBreaker(err) {
				return out, err
			}
			err = fmt.Errorf("%w: %w", ErrOpen, err)
			if durable.Scheduled(ctx) {
				return nil, Busy(err, b.pause())
			}
			if cause := wait(ctx, b.pause()); cause != nil {
				return nil, interruption(cause, err)
			}
		}
	}
}

// refusedByBreaker tells whether the handler did not run. The handler's own breakers mark their errors as busy.
func refusedByBreaker(err error) bool {
	return err == gobreaker.ErrOpenState || err == gobreaker.ErrTooManyRequests //nolint:errorlint // wrapped ones are the handler's
}

// pause is until the next probe is let through, and a little more for each event.
func (b *Breaker) pause() time.Duration {
	left := time.Duration(b.due.Load() - time.Now().UnixNano())
	return max(left, 0) + time.Millisecond + fullJitter(b.wait/10)
}

// Append wraps the storing side of a dual.Publisher (Options.Append): while it is open, appends fail at once with
// ErrOpen and durable.ErrUnavailable, nothing sent. What the broker rejects is an answer, not a failure.
func (b *Breaker) Append(inner durable.Backend) durable.Backend {
	if err := b.Validate(); err != nil {
		return WrapAppend(inner, func(_ context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
			return make([]durable.Position, len(msgs)), durable.FailAll(topic, len(msgs), durable.Rejected, err)
		})
	}
	b.init()
	return WrapAppend(inner, func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		var positions []durable.Position
		var full error
		_, err := b.cb.Execute(func() ([]*message.Message, error) {
			positions, full = inner.Append(ctx, topic, msgs...)
			return nil, unavailable(full)
		})
		if refusedByBreaker(err) {
			err = fmt.Errorf("%w: %w: %w", ErrOpen, durable.ErrUnavailable, err)
			return make([]durable.Position, len(msgs)), durable.FailAll(topic, len(msgs), durable.NotSent, err)
		}
		return positions, full
	})
}

// unavailable is err where the broker did not answer. A caller that left says nothing about it.
func unavailable(err error) error {
	if errors.Is(err, durable.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return durable.ErrUnavailable
	}
	if errors.Is(err, context.Canceled) {
		return context.Canceled // busy: it counts for nothing
	}
	return nil
}
