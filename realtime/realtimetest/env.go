package realtimetest

import (
	"context"
	"crypto/rand"
	"strconv"
	"testing"
	"time"

	"github.com/dualstream/dualstream/realtime"
)

// Env is what a check works with: a test, a harness and a bounded context.
type Env struct {
	testing.TB
	Harness
	Caps realtime.Capabilities
	Ctx  context.Context // ends after twice Patience
	base string          // the beginning of the check's channels, which nobody else uses
}

func newEnv(t testing.TB, h Harness, caps realtime.Capabilities) *Env {
	ctx, cancel := context.WithTimeout(context.Background(), 2*h.Patience)
	t.Cleanup(cancel)
	return &Env{TB: t, Harness: h, Caps: caps, Ctx: ctx, base: "check-" + rand.Text()}
}

// channel is a channel of this check.
func (e *Env) channel(id string) string { return realtime.Channel(e.base, id) }

// open returns a backend that is closed after the check.
func (e *Env) open() realtime.Backend {
	e.Helper()
	b := e.New(e.TB)
	e.Cleanup(func() { _ = e.within("Close of the backend", b.Close) })
	return b
}

// within fails the test unless f returns in time. f runs on a goroutine of its own, so that one that never
// returns is found; a panic of f is a failure.
func (e *Env) within(what string, f func(context.Context) error) error {
	e.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), e.Patience)
	defer cancel()
	type result struct {
		err   error
		panic any
	}
	done := make(chan result, 1) // the goroutine ends even if nobody waits any more
	go func() {
		var r result
		defer func() {
			r.panic = recover()
			done <- r
		}()
		r.err = f(ctx)
	}()
	grace := time.NewTimer(e.Patience + e.Patience/4)
	defer grace.Stop()
	select {
	case r := <-done:
		if r.panic != nil {
			e.Errorf("%s panicked: %v", what, r.panic)
		}
		return r.err
	case <-grace.C:
		e.Errorf("%s did not return within %v", what, e.Patience)
		return context.DeadlineExceeded
	}
}

// subscribe returns a subscription that is closed after the check.
func (e *Env) subscribe(b realtime.Backend, channels ...string) realtime.Subscription {
	e.Helper()
	var s realtime.Subscription
	err := e.within("Subscribe", func(ctx context.Context) (err error) {
		s, err = b.Subscribe(ctx, channels...)
		return err
	})
	if err != nil || s == nil {
		e.Fatalf("Subscribe: got %v, %v, want a subscription", s, err)
	}
	e.Cleanup(func() { _ = e.within("Close of the subscription", func(context.Context) error { return s.Close() }) })
	return s
}

// do fails the test unless f returns nil in time.
func (e *Env) do(what string, f func(context.Context) error) {
	e.Helper()
	if err := e.within(what, f); err != nil {
		e.Fatalf("%s: got %v, want nil", what, err)
	}
}

// notify broadcasts one notification per id.
func (e *Env) notify(b realtime.Backend, channel string, ids ...string) {
	e.Helper()
	ns := make([]realtime.Notification, len(ids))
	for i, id := range ids {
		ns[i] = realtime.Notification{Channel: channel, ID: id}
	}
	e.do("Notify", func(ctx context.Context) error { return b.Notify(ctx, ns...) })
}

// next is the next signal.
func (e *Env) next(s realtime.Subscription) realtime.Signal {
	e.Helper()
	var got realtime.Signal
	e.do("Next", func(ctx context.Context) (err error) {
		got, err = s.Next(ctx)
		return err
	})
	return got
}

// want fails the test unless the next signals are notifications on channel with these ids, in this order.
func (e *Env) want(s realtime.Subscription, channel string, ids ...string) {
	e.Helper()
	for _, id := range ids {
		got := e.next(s)
		if got.Gap != realtime.GapNone || got.Notification.ID != id || got.Notification.Channel != channel {
			e.Fatalf("Next: got %+v, want %q on %q", got, id, channel)
		}
	}
}

// quiet fails the test if anything arrives within Quiet.
func (e *Env) quiet(s realtime.Subscription) {
	e.Helper()
	if got, ok := e.poll(s); ok {
		e.Errorf("Next: got %+v, want nothing", got)
	}
}

// poll is a signal that arrives within Quiet.
func (e *Env) poll(s realtime.Subscription) (got realtime.Signal, ok bool) {
	e.Helper()
	err := e.within("Next with a deadline", func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, e.Quiet)
		defer cancel()
		got, err = s.Next(ctx)
		return err
	})
	return got, err == nil
}

// numbers are n ids.
func numbers(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}
