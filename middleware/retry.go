package middleware

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Defaults of Retry.
const (
	DefaultMaxAttempts = 5
	DefaultInitial     = 100 * time.Millisecond
	DefaultMax         = 10 * time.Second
)

// Retry tries again what failed, with exponential backoff and full jitter.
//
// The schedule: after attempt n failed, the next one begins after a random delay between 0 and
// min(Max, Initial * 2^(n-1)), or after what the error asks for (After, durable.RetryAfter). After MaxAttempts, or
// where the next attempt would begin later than MaxElapsed after the first failure, the error is a *[Failure]. So it
// is at once where the error is permanent. Hooks see the schedule and do not change it.
//
// Busy errors (see ClassBusy) follow the same schedule by their own count and never use up attempts, but for
// cancellations: an event whose own context goes on while MaxAttempts attempts end with context.Canceled has failed, so
// that a handler whose own context has ended does not hold it for ever. Every attempt has the context that the first one
// had. Under durable.Process the attempts that the backend counted before this process
// took the event count too, so that an event that kills its process runs out of attempts.
type Retry struct {
	// MaxAttempts is how often the handler runs at most, the first attempt included. Defaults to 5.
	MaxAttempts int
	// Initial bounds the delay after the first attempt. Defaults to 100 ms.
	Initial time.Duration
	// Max bounds every delay of the schedule. Defaults to 10 s, or to Initial where that is longer.
	Max time.Duration
	// MaxElapsed bounds the time from the first failure to the beginning of the last attempt. Defaults to no bound.
	MaxElapsed time.Duration
	// Backoff replaces the schedule: the delay after attempt (from 1). It is called from many goroutines.
	Backoff func(attempt int, err error) time.Duration
	// Classify replaces ClassOf, which it may call for what it does not know.
	Classify func(err error) Class
	// OnRetry is told of every retry before its delay begins. It is called from many goroutines.
	OnRetry func(RetryEvent)
}

// RetryEvent is a retry to come.
type RetryEvent struct {
	Attempt int // that failed, from 1
	Delay   time.Duration
	Err     error
	Topic   string           // to publish to, or that the event comes from, where known
	Message *message.Message // nil on the publishing side
}

// Validate returns an *durable.InvalidError that names the field that makes no sense, or nil.
func (r Retry) Validate() error {
	err := firstError(
		notNegative("Retry.MaxAttempts", r.MaxAttempts), notNegative("Retry.Initial", r.Initial),
		notNegative("Retry.Max", r.Max), notNegative("Retry.MaxElapsed", r.MaxElapsed),
	)
	if err != nil {
		return err
	}
	if r.Max > 0 && r.Max < orDefault(r.Initial, DefaultInitial) {
		return durable.Invalid("Retry.Max", r.Max.String(),
			"use at least Initial ("+orDefault(r.Initial, DefaultInitial).String()+")")
	}
	return nil
}

func (r Retry) filled() Retry {
	r.MaxAttempts = orDefault(r.MaxAttempts, DefaultMaxAttempts)
	r.Initial = orDefault(r.Initial, DefaultInitial)
	r.Max = orDefault(r.Max, max(DefaultMax, r.Initial))
	if r.Backoff == nil {
		initial, most := r.Initial, r.Max
		r.Backoff = func(attempt int, _ error) time.Duration { return fullJitter(exponential(attempt, initial, most)) }
	}
	if r.Classify == nil {
		r.Classify = ClassOf
	}
	if r.OnRetry == nil {
		r.OnRetry = func(RetryEvent) {}
	}
	return r
}

// delay is the one after attempt failed with err.
func (r *Retry) delay(attempt int, err error) time.Duration {
	if d, ok := durable.RetryDelay(err); ok {
		return d
	}
	return max(r.Backoff(attempt, err), 0)
}

// tries is what is known about an event that failed.
type tries struct {
	busy      int // that did not count: under durable.Process for the delay alone, because it does not count them either
	cancelled int // of them
	first     time.Time
}

// Middleware wraps h. What its failed attempts produced is dropped. Where Validate fails it handles nothing.
func (r Retry) Middleware(h message.HandlerFunc) message.HandlerFunc {
	if err := r.Validate(); err != nil {
		return refuse(err)
	}
	r = r.filled()
	notes := new(journal[tries])
	return func(msg *message.Message) ([]*message.Message, error) {
		ctx := msg.Context()
		out, err := h(msg)
		if err == nil {
			if !notes.empty() {
				if d, under := deliveryOf(ctx); under {
					notes.drop(placeOf(d))
				}
			}
			return out, nil
		}
		msg.SetContext(ctx)
		if d, under := deliveryOf(ctx); under {
			return nil, r.schedule(ctx, d, notes, err)
		}
		return r.inPlace(ctx, msg, h, err)
	}
}

// schedule makes of err what the engine is to do.
func (r *Retry) schedule(ctx context.Context, d durable.Delivery, notes *journal[tries], err error) error {
	p := placeOf(d)
	known, _ := notes.get(p)
	if known.first.IsZero() {
		known.first = time.Now()
	}
	s := r.judge(ctx, d.Attempt, &known, err)
	if s.last {
		notes.drop(p)
		return s.err
	}
	notes.set(ctx, p, known)
	if s.busy {
		return Busy(err, s.delay)
	}
	r.OnRetry(RetryEvent{Attempt: d.Attempt, Delay: s.delay, Err: err, Topic: d.Topic, Message: d.Message})
	return durable.RetryAfter(err, s.delay)
}

// inPlace goes on after the first attempt failed with err, on the goroutine of the caller.
func (r *Retry) inPlace(ctx context.Context, msg *message.Message, h message.HandlerFunc, err error) ([]*message.Message, error) {
	known := tries{first: time.Now()}
	for attempt := 1; ; {
		s := r.judge(ctx, attempt, &known, err)
		if s.last {
			return nil, s.err
		}
		if !s.busy {
			r.OnRetry(RetryEvent{Attempt: attempt, Delay: s.delay, Err: err, Topic: topicOf(ctx, durable.Delivery{}), Message: msg})
			attempt++
		}
		if cause := wait(ctx, s.delay); cause != nil {
			return nil, interruption(cause, err)
		}
		var out []*message.Message
		if out, err = h(msg); err == nil {
			return out, nil
		}
		msg.SetContext(ctx)
	}
}

// sentence is what Retry makes of a failed attempt.
type sentence struct {
	last  bool
	err   error // where last; nil: the event is skipped
	delay time.Duration
	busy  bool // the attempt does not count
}

// judge decides about attempt, which failed with err.
func (r *Retry) judge(ctx context.Context, attempt int, known *tries, err error) sentence {
	if ctx.Err() != nil {
		return sentence{last: true, err: interruption(context.Cause(ctx), err)}
	}
	if v := durable.VerbOf(err); v == durable.VerbPark || v == durable.VerbStop {
		return sentence{last: true, err: err}
	}
	class := r.Classify(err)
	switch class {
	case ClassSkip:
		return sentence{last: true}
	case ClassBusy:
		known.busy++
		if durable.VerbOf(err) == durable.VerbRetry && !errors.Is(err, ErrBusy) && cancelled(err) {
			known.cancelled++
		}
		if known.cancelled >= r.MaxAttempts {
			return sentence{last: true, err: r.failure(attempt-1+known.cancelled, known, err, ClassRetryable)}
		}
		return sentence{delay: r.delay(known.busy, err), busy: true}
	case ClassPermanent:
		return sentence{last: true, err: r.failure(attempt, known, err, class)}
	default:
	}
	delay := r.delay(attempt, err)
	spent := r.MaxElapsed > 0 && time.Since(known.first)+delay > r.MaxElapsed
	if attempt >= r.MaxAttempts || spent {
		return sentence{last: true, err: r.failure(attempt, known, err, class)}
	}
	return sentence{delay: delay}
}

func (r *Retry) failure(attempt int, known *tries, err error, class Class) error {
	var already *Failure
	if errors.As(err, &already) {
		return err
	}
	return &Failure{Err: err, Reason: reasonOf(err, class), Attempts: attempt, First: known.first, Last: time.Now()}
}

// interruption is the error of an event whose context ended: not a failure of it, whatever err was.
func interruption(cause, err error) error {
	return durable.Release(fmt.Errorf("interrupted: %w: %w", cause, err))
}
