package memory_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/realtime"
)

func newRealtime(t *testing.T, c memory.RealtimeConfig) *memory.Realtime {
	t.Helper()
	r, err := memory.NewRealtime(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}

func notify(t *testing.T, r *memory.Realtime, channel string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := r.Notify(t.Context(), realtime.Notification{Channel: channel, ID: id}); err != nil {
			t.Fatal(err)
		}
	}
}

func next(t *testing.T, s realtime.Subscription) realtime.Signal {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	signal, err := s.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return signal
}

func TestSubscriberGetsItsChannelsOnceAndInOrder(t *testing.T) {
	r := newRealtime(t, memory.RealtimeConfig{})
	wild := realtime.Channel("user", "a*[1]")
	s, err := r.Subscribe(t.Context(), wild, realtime.Pattern("events:order:*"))
	if err != nil {
		t.Fatal(err)
	}
	notify(t, r, realtime.Channel("user", "ab1"), "not mine")
	notify(t, r, wild, "1")
	if err := s.Add(t.Context(), realtime.Channel("order", "7")); err != nil {
		t.Fatal(err)
	}
	notify(t, r, realtime.Channel("order", "7"), "2")
	if err := s.Remove(t.Context(), wild); err != nil {
		t.Fatal(err)
	}
	notify(t, r, wild, "not mine any more")
	notify(t, r, realtime.Channel("order", "8"), "3")
	for _, want := range []string{"1", "2", "3"} {
		if got := next(t, s).Notification.ID; got != want {
			t.Fatalf("got notification %q, want %q", got, want)
		}
	}
}

func TestSlowSubscriberGetsAnOverflowWithTheCount(t *testing.T) {
	r := newRealtime(t, memory.RealtimeConfig{Buffer: 2})
	s, err := r.Subscribe(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	notify(t, r, "c", "1", "2", "3", "4", "5")
	if got := next(t, s); got.Gap != realtime.GapOverflow || got.Missed != 3 {
		t.Fatalf("got %+v, want an overflow of 3", got)
	}
	if got := next(t, s).Notification.ID; got != "4" {
		t.Fatalf("got %q after the gap, want 4", got)
	}
}

func TestClosedRealtimeRefuses(t *testing.T) {
	r := newRealtime(t, memory.RealtimeConfig{})
	s, err := r.Subscribe(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	_, subscribeErr := r.Subscribe(t.Context(), "c")
	_, nextErr := s.Next(t.Context())
	for what, err := range map[string]error{
		"Notify":    r.Notify(t.Context(), realtime.Notification{Channel: "c", ID: "1"}),
		"Subscribe": subscribeErr,
		"Next":      nextErr,
		"Add":       s.Add(t.Context(), "d"),
		"Health":    r.Health(t.Context()),
	} {
		if !errors.Is(err, realtime.ErrClosed) {
			t.Errorf("%s after Close: got %v, want ErrClosed", what, err)
		}
	}
}

func TestAGapIsToldToEverySubscription(t *testing.T) {
	r, err := memory.NewRealtime(memory.RealtimeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close(t.Context()) }()
	for _, channel := range []string{"a", "b"} {
		s, err := r.Subscribe(t.Context(), channel)
		if err != nil {
			t.Fatal(err)
		}
		r.Gap(realtime.GapReconnect)
		if got, err := s.Next(t.Context()); err != nil || got.Gap != realtime.GapReconnect {
			t.Errorf("on %s: got %+v and %v, want the gap", channel, got, err)
		}
	}
}
