package middleware

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// dedupe is a Dedupe with its defaults filled in, at work.
type dedupe struct {
	group     string
	store     DedupeStore
	lease     time.Duration
	keep      time.Duration
	busyPause time.Duration
	busyWait  time.Duration
	open      bool
	key       func(*message.Message) string
	logger    *slog.Logger
	busy      error // of a busy event under durable.Process

	counts   dedupeCounts
	attempts attempts
	down     atomic.Int64 // nanoseconds since the start of attempts until which the store is left alone; 0: it works
	warned   atomic.Bool  // some event was not remembered because what it produced cannot be followed
}

// handle is the middleware around one message.
func (s *dedupe) handle(msg *message.Message, h message.HandlerFunc) ([]*message.Message, error) {
	key := s.key(msg)
	if key == "" {
		s.counts.unkeyed.Add(1)
		return h(msg)
	}
	ctx := msg.Context()
	group, under, err := s.groupOf(ctx)
	if err != nil {
		return refuse(err)(msg)
	}
	a := s.attempts.begin(group + dedupeSeparator + key)
	state, err := s.reserve(ctx, a, under)
	switch {
	case err != nil:
		s.attempts.drop(a)
		return s.withoutStore(msg, h, under, err)
	case state == DedupeHandled:
		s.attempts.drop(a)
		s.counts.duplicates.Add(1)
		return nil, nil
	case state == DedupeBusy:
		s.attempts.drop(a)
		return nil, s.busy
	}
	return s.reserved(msg, h, a, under)
}

// reserve asks the store; where the event is busy and nothing schedules another attempt, it asks again and again.
func (s *dedupe) reserve(ctx context.Context, a *attempt, under bool) (DedupeState, error) {
	end := time.Time{}
	for {
		if err := s.ask(ctx, a.reservation[:]); err != nil {
			return 0, err
		}
		state := a.reservation[0].State
		if state != DedupeBusy {
			return state, nil
		}
		s.counts.busy.Add(1)
		if under {
			return state, nil
		}
		now := time.Now()
		if end.IsZero() {
			end = now.Add(s.busyWait)
		}
		if !now.Before(end) || wait(ctx, s.busyPause) != nil {
			return state, nil
		}
	}
}

// ask is one call of the store. One that failed a moment ago is not asked; then one caller finds out for all.
func (s *dedupe) ask(ctx context.Context, rs []Reservation) error {
	if until := s.down.Load(); until != 0 {
		now := s.attempts.now()
		if now < until || !s.down.CompareAndSwap(until, now+int64(dedupeStorePause)) {
			return errStoreDown
		}
	}
	err := s.store.Reserve(ctx, rs)
	s.observe(ctx, err)
	return err
}

// reserved runs h on what a holds, and settles it.
func (s *dedupe) reserved(msg *message.Message, h message.HandlerFunc, a *attempt, under bool) (out []*message.Message, err error) {
	s.attempts.watch(a)
	ctx, keep := msg.Context(), time.Duration(0)
	followed := false
	defer func() { // also where h panics or ends its goroutine
		if !followed {
			s.settle(ctx, a, keep)
		}
	}()
	out, err = h(msg)
	switch {
	case err != nil:
	case len(out) == 0:
		keep = s.keep
	case under:
		if s.warned.CompareAndSwap(false, true) {
			s.logger.Warn("middleware: events that produce messages are not remembered by Dedupe under Process: publish inside of the handler")
		}
	default:
		followed = true
		go s.follow(ctx, msg, a)
	}
	return out, err
}

// follow settles a when the router has published what the handler produced, or has failed to.
func (s *dedupe) follow(ctx context.Context, msg *message.Message, a *attempt) {
	select {
	case <-msg.Acked():
	case <-msg.Nacked():
	case <-ctx.Done():
	}
	select {
	case <-msg.Acked():
		s.settle(ctx, a, s.keep)
	default:
		s.settle(ctx, a, 0)
	}
}

// settle tells the store how the attempt ended; the end of ctx does not keep it from that. What it cannot tell is
// counted: the lease ends the reservation.
func (s *dedupe) settle(ctx context.Context, a *attempt, keep time.Duration) {
	s.attempts.unwatch(a)
	r := &a.reservation[0]
	a.settlement[0] = Settlement{Key: r.Key, Token: r.Token, Keep: keep}
	if err := s.store.Settle(context.WithoutCancel(ctx), a.settlement[:]); err != nil {
		s.counts.unsettled.Add(1)
		s.observe(ctx, err)
	}
	if keep > 0 {
		s.counts.handled.Add(1)
	} else {
		s.counts.released.Add(1)
	}
	s.attempts.drop(a)
}

// withoutStore does what StoreDown says.
func (s *dedupe) withoutStore(msg *message.Message, h message.HandlerFunc, under bool, err error) ([]*message.Message, error) {
	if ctx := msg.Context(); ctx.Err() != nil {
		return nil, durable.Release(fmt.Errorf("dedupe: %w", context.Cause(ctx)))
	}
	if s.open {
		s.counts.unchecked.Add(1)
		return h(msg)
	}
	s.counts.held.Add(1)
	err = fmt.Errorf("dedupe: the store is down, and events are held: %w", err)
	if under {
		return nil, durable.Release(durable.RetryAfter(err, dedupeStorePause))
	}
	_ = wait(msg.Context(), dedupeStorePause)
	return nil, durable.Release(err)
}

// observe notes whether the store works; the change is logged, and a store that fails is left alone for a while.
func (s *dedupe) observe(ctx context.Context, err error) {
	if err == nil {
		if s.down.Load() != 0 && s.down.Swap(0) != 0 {
			s.logger.Info("middleware: the dedupe store works again")
		}
		return
	}
	if ctx.Err() != nil {
		return // the caller's end says nothing about the store
	}
	s.counts.storeErrors.Add(1)
	if s.down.Swap(s.attempts.now()+int64(dedupeStorePause)) == 0 {
		s.logger.Warn("middleware: the dedupe store fails", "open", s.open, "error", err)
	}
}
