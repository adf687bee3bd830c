package middleware

import (
	"context"
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// Append wraps the storing side of a dual.Publisher (Options.Append). Of a batch that failed it sends again only what
// is not known to be stored, in order and with the ids it had; what was rejected or denied is not sent again, and neither
// is anything after ErrClosed or ErrFenced, or what an open Breaker refused. The schedule is that of the handlers, ended by
// ctx; the delay of an error counts as there.
//
// Where an event was stored although an earlier one of its key was not, or was stored later, its outcome says AfterGap,
// and the error is not nil: no key is out of order unnoticed.
func (r Retry) Append(b durable.Backend) durable.Backend {
	if err := r.Validate(); err != nil {
		return WrapAppend(b, func(_ context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
			return make([]durable.Position, len(msgs)), durable.FailAll(topic, len(msgs), durable.Rejected, err)
		})
	}
	r = r.filled()
	return WrapAppend(b, func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		positions, err := b.Append(ctx, topic, msgs...)
		if err == nil {
			return positions, nil
		}
		return r.resend(ctx, b, topic, msgs, positions, err)
	})
}

// sending is a batch of which not everything was stored at first.
type sending struct {
	topic     string
	msgs      []*message.Message
	positions []durable.Position
	outcomes  []durable.Outcome
	round     []int // in which each was stored
	now       int   // this round
}

func (r *Retry) resend(ctx context.Context, b durable.Backend, topic string, msgs []*message.Message, positions []durable.Position, err error) ([]durable.Position, error) {
	s := &sending{
		topic: topic, msgs: msgs, positions: make([]durable.Position, len(msgs)),
		outcomes: make([]durable.Outcome, len(msgs)), round: make([]int, len(msgs)),
	}
	all := make([]int, len(msgs))
	for i := range all {
		all[i] = i
	}
	rest := s.take(all, positions, err)
	first := time.Now()
	for attempt := 1; len(rest) > 0 && r.again(err); {
		if s.refused(err) {
			err = nil // the others were held back by what was rejected: nothing to wait for
		}
		if err != nil {
			delay := r.delay(attempt, err)
			if attempt >= r.MaxAttempts || r.MaxElapsed > 0 && time.Since(first)+delay > r.MaxElapsed {
				break
			}
			r.OnRetry(RetryEvent{Attempt: attempt, Delay: delay, Err: err, Topic: topic})
			attempt++
			if wait(ctx, delay) != nil {
				break
			}
		}
		some := make([]*message.Message, len(rest))
		for i, at := range rest {
			some[i] = msgs[at]
		}
		s.now++
		positions, err = b.Append(ctx, topic, some...)
		rest = s.take(rest, positions, err)
	}
	return s.result()
}

// again tells whether the same messages may be stored later.
func (r *Retry) again(err error) bool {
	if err == nil {
		return true
	}
	return !errors.Is(err, durable.ErrClosed) && !errors.Is(err, durable.ErrFenced) && !errors.Is(err, ErrOpen)
}

// take notes what became of the messages at, and returns those to send again.
func (s *sending) take(at []int, positions []durable.Position, err error) []int {
	var batch *durable.BatchError
	if err != nil && (!errors.As(err, &batch) || len(batch.Outcomes) != len(at)) {
		batch = durable.FailAll(s.topic, len(at), durable.Unknown, err)
	}
	var rest []int
	for i, m := range at {
		o := durable.Outcome{}
		if batch != nil {
			o = batch.Outcomes[i]
		}
		s.outcomes[m] = o
		switch o.Status {
		case durable.Stored:
			s.round[m] = s.now
			if i < len(positions) {
				s.positions[m] = positions[i]
			}
		case durable.Rejected:
		default:
			if !errors.Is(o.Err, durable.ErrDenied) {
				rest = append(rest, m)
			}
		}
	}
	return rest
}

// refused tells whether err refuses some messages and says of the others only that they were not sent because of it.
func (s *sending) refused(err error) bool {
	var batch *durable.BatchError
	if !errors.As(err, &batch) {
		return false
	}
	rejected := false
	for _, o := range batch.Outcomes {
		switch o.Status {
		case durable.Unknown:
			return false
		case durable.Rejected:
			rejected = true
		case durable.NotSent:
			if errors.Is(o.Err, durable.ErrUnavailable) || errors.Is(o.Err, durable.ErrBackpressure) {
				return false
			}
		default:
		}
	}
	return rejected
}

// result marks what was stored after a gap and makes the error, nil where everything was stored in order.
func (s *sending) result() ([]durable.Position, error) {
	latest := make(map[string]int) // round in which the earlier of a key were stored; -1: one was not
	failed := false
	for i, m := range s.msgs {
		o := &s.outcomes[i]
		key := ""
		if m != nil {
			key = durable.Key(m)
		}
		if o.Status != durable.Stored {
			failed = true
			latest[key] = -1
			continue
		}
		before, seen := latest[key]
		if key != "" && seen && (before < 0 || before > s.round[i]) {
			o.AfterGap = true
		}
		failed = failed || o.AfterGap
		if !seen || before >= 0 && s.round[i] > before {
			latest[key] = s.round[i]
		}
	}
	if !failed {
		return s.positions, nil
	}
	return s.positions, &durable.BatchError{Topic: s.topic, Outcomes: s.outcomes}
}

// Notify wraps the announcing side of a dual.Publisher (Options.Notify). A Notify that failed is tried again as a
// whole, because a bus does not tell what it took: listeners may see a notification twice. What is invalid or denied, and
// anything after ErrClosed, is not. All attempts share the context of the Notify: a Dispatcher gives it
// DispatcherOptions.Timeout, by default a second.
func (r Retry) Notify(b realtime.Backend) realtime.Backend {
	if err := r.Validate(); err != nil {
		return WrapNotify(b, func(context.Context, ...realtime.Notification) error { return err })
	}
	r = r.filled()
	return WrapNotify(b, func(ctx context.Context, ns ...realtime.Notification) error {
		first := time.Now()
		for attempt := 1; ; attempt++ {
			err := b.Notify(ctx, ns...)
			if err == nil || ctx.Err() != nil || hopeless(err) || r.Classify(err) == ClassPermanent {
				return err
			}
			delay := r.delay(attempt, err)
			if attempt >= r.MaxAttempts || r.MaxElapsed > 0 && time.Since(first)+delay > r.MaxElapsed || endsWithin(ctx, delay) {
				return err
			}
			r.OnRetry(RetryEvent{Attempt: attempt, Delay: delay, Err: err})
			if wait(ctx, delay) != nil {
				return err
			}
		}
	})
}

// endsWithin tells whether ctx is over after delay: waiting in vain would hold up who announces next.
func endsWithin(ctx context.Context, delay time.Duration) bool {
	end, bounded := ctx.Deadline()
	return bounded && time.Until(end) < delay
}

// hopeless tells whether a bus will say the same again.
func hopeless(err error) bool {
	var bad *realtime.InvalidError
	return errors.As(err, &bad) || errors.Is(err, realtime.ErrClosed) || errors.Is(err, realtime.ErrUnsupported) ||
		errors.Is(err, realtime.ErrDenied)
}
