package redispubsub

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

const patience = time.Minute

// open returns a backend that logs nothing and waits for a broker that stands still, unless tune says otherwise.
func open(t testing.TB, addr string, tune ...func(*Config)) *Backend {
	t.Helper()
	cfg := Config{Connection: Connection{Addr: addr}, NotifyTimeout: patience, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for _, f := range tune {
		f(&cfg)
	}
	b, err := Open(soon(t), cfg)
	if err != nil {
		t.Fatalf("Open: got %v, want nil", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("Close: got %v, want nil", err)
		}
	})
	return b
}

func quickProbe(c *Config) { c.ProbeIdle = 100 * time.Millisecond }

// foreign is a plain client of the server at addr, which does not send again what a slow server has got.
func foreign(t *testing.T, addr string) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: patience})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// soon bounds what must happen.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// subscribe asks again only where b probes so early that a broker which stands still for a moment counts as gone.
func subscribe(t testing.TB, b *Backend, channels ...string) realtime.Subscription {
	t.Helper()
	var s realtime.Subscription
	testenv.Await(t, patience, func() bool {
		var err error
		if s, err = b.Subscribe(soon(t), channels...); err != nil && b.cfg.ProbeIdle >= time.Second {
			t.Fatalf("Subscribe: got %v, want nil", err)
		}
		return err == nil
	}, "Subscribe works")
	return s
}

func notify(t testing.TB, b *Backend, channel string, ids ...string) {
	t.Helper()
	var ns []realtime.Notification
	for _, id := range ids {
		ns = append(ns, realtime.Notification{Channel: channel, ID: id})
	}
	if err := b.Notify(soon(t), ns...); err != nil {
		t.Fatalf("Notify: got %v, want nil", err)
	}
}

func next(t testing.TB, s realtime.Subscription) realtime.Signal {
	t.Helper()
	got, err := s.Next(soon(t))
	if err != nil {
		t.Fatalf("Next: got %v, want a signal", err)
	}
	return got
}

// want fails the test unless the next signals are notifications with these ids.
func want(t testing.TB, s realtime.Subscription, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if got := next(t, s); got.Gap != realtime.GapNone || got.Notification.ID != id {
			t.Fatalf("Next: got %q (gap %v), want %q", got.Notification.ID, got.Gap, id)
		}
	}
}

// wantGap fails the test unless the next signal that is not a notification is that gap.
func wantGap(t testing.TB, s realtime.Subscription, reason realtime.GapReason) {
	t.Helper()
	for {
		switch got := next(t, s); got.Gap {
		case realtime.GapNone:
		case reason:
			return
		default:
			t.Fatalf("Next: got the gap %v, want %v", got.Gap, reason)
		}
	}
}

// insist notifies until the broker takes it.
func insist(t testing.TB, b *Backend, channel, id string) {
	t.Helper()
	testenv.Await(t, patience, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), patience/3)
		defer cancel()
		return b.Notify(ctx, realtime.Notification{Channel: channel, ID: id}) == nil
	}, "Notify works again")
}

func unique(t testing.TB) string { return strings.ReplaceAll(testenv.Name(t, "rt"), ":", "-") }
