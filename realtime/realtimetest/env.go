package realtimetest

import (
	"context"
	"crypto/rand"
	"strconv"
	"testing"

	"github.com/dualstream/dualstream/internal/conformance"
	"github.com/dualstream/dualstream/realtime"
)

// env is what a check works with: a test, a harness and a bounded context.
type env struct {
	conformance.Env
	Harness
	Caps realtime.Capabilities
	base string // the beginning of the check's channels, which nobody else uses
}

func newEnv(t testing.TB, h Harness, caps realtime.Capabilities) *env {
	return &env{Env: conformance.NewEnv(t, h.Patience), Harness: h, Caps: caps, base: "check-" + rand.Text()}
}

// channel is a channel of this check.
func (e *env) channel(id string) string { return realtime.Channel(e.base, id) }

// open returns a backend that is closed after the check.
func (e *env) open() realtime.Backend {
	e.Helper()
	b := e.New(e.TB)
	e.Cleanup(func() { _ = e.Within("Close of the backend", b.Close) })
	return b
}

// subscribe returns a subscription that is closed after the check.
func (e *env) subscribe(b realtime.Backend, channels ...string) realtime.Subscription {
	e.Helper()
	var s realtime.Subscription
	err := e.Within("Subscribe", func(ctx context.Context) (err error) {
		s, err = b.Subscribe(ctx, channels...)
		return err
	})
	if err != nil || s == nil {
		e.Fatalf("Subscribe: got %v, %v, want a subscription", s, err)
	}
	e.Cleanup(func() { _ = e.Within("Close of the subscription", func(context.Context) error { return s.Close() }) })
	return s
}

// notify broadcasts one notification per id.
func (e *env) notify(b realtime.Backend, channel string, ids ...string) {
	e.Helper()
	ns := make([]realtime.Notification, len(ids))
	for i, id := range ids {
		ns[i] = realtime.Notification{Channel: channel, ID: id}
	}
	e.Do("Notify", func(ctx context.Context) error { return b.Notify(ctx, ns...) })
}

// next is the next signal.
func (e *env) next(s realtime.Subscription) realtime.Signal {
	e.Helper()
	var got realtime.Signal
	e.Do("Next", func(ctx context.Context) (err error) {
		got, err = s.Next(ctx)
		return err
	})
	return got
}

// want fails the test unless the next signals are notifications on channel with these ids, in this order.
func (e *env) want(s realtime.Subscription, channel string, ids ...string) {
	e.Helper()
	for _, id := range ids {
		got := e.next(s)
		if got.Gap != realtime.GapNone || got.Notification.ID != id || got.Notification.Channel != channel {
			e.Fatalf("Next: got %+v, want %q on %q", got, id, channel)
		}
	}
}

// quiet fails the test if anything arrives within Quiet.
func (e *env) quiet(s realtime.Subscription) {
	e.Helper()
	if got, ok := e.poll(s); ok {
		e.Errorf("Next: got %+v, want nothing", got)
	}
}

// poll is a signal that arrives within Quiet. A Next that does not return leaves none.
func (e *env) poll(s realtime.Subscription) (realtime.Signal, bool) {
	e.Helper()
	var got realtime.Signal
	err := e.Within("Next with a deadline", func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, e.Quiet)
		defer cancel()
		got, err = s.Next(ctx)
		return err
	})
	if err != nil {
		return realtime.Signal{}, false // Next may still write got
	}
	return got, true
}

// numbers are n ids.
func numbers(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = strconv.Itoa(i)
	}
	return out
}
