package redisdedupe_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/adapters/redisdedupe"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

func TestAServerThatIsDownHoldsEventsBackOrLetsThemPassAsToldAndIsCounted(t *testing.T) {
	for name, down := range map[string]middleware.DedupeFailure{"closed": middleware.FailClosed, "open": middleware.FailOpen} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n = 20
			logger := slog.New(slog.NewTextHandler(io.Discard, nil))
			server := testenv.StartRedis(t, testenv.RedisOptions{})
			d := &middleware.Dedupe{Store: open(t, at(server.Addr())), StoreDown: down, Logger: logger}
			b, err := memory.New(memory.Config{Logger: logger})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close(context.Background()) })
			server.Kill()
			for i := range n {
				msg, err := durable.Event{ID: fmt.Sprint(i), Type: "x", SourceType: "s", SourceID: fmt.Sprint(i)}.Message("")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := b.Append(t.Context(), "orders", msg); err != nil {
					t.Fatal(err)
				}
			}
			var handled atomic.Int64
			h := d.Middleware(func(*message.Message) ([]*message.Message, error) { handled.Add(1); return nil, nil })
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- durable.Process(ctx, b, durable.Group{Name: "g", Topics: durable.Topics("orders")},
					func(msg *message.Message) error { _, err := h(msg); return err }, durable.ProcessOptions{Logger: logger})
			}()
			if down == middleware.FailOpen {
				testenv.Await(t, time.Minute, func() bool { return handled.Load() == n }, "all pass")
			} else {
				testenv.Await(t, time.Minute, func() bool { return d.Stats().Held >= n }, "all are held")
				if got := handled.Load(); got != 0 {
					t.Errorf("%d were handled without asking, want none", got)
				}
				server.Restart()
				testenv.Await(t, time.Minute, func() bool { return handled.Load() == n }, "all are handled when the server is back")
			}
			stop()
			if err := <-ended; err != nil {
				t.Errorf("Process: got %v, want nil", err)
			}
			got := d.Stats()
			if open := down == middleware.FailOpen; got.StoreErrors == 0 || open != (got.Unchecked == n) || open == (got.Handled == n) {
				t.Errorf("counted %+v", got)
			}
		})
	}
}

// TestAUserWithoutTheRightIsDenied takes from a user the right to write, on a connection of the store's own and on one of
// its caller.
func TestAUserWithoutTheRightIsDenied(t *testing.T) {
	server := testenv.StartRedis(t, testenv.RedisOptions{})
	set := func(rules ...any) {
		t.Helper()
		if err := server.Client().Do(t.Context(), append([]any{"acl", "setuser", "app"}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("on", ">secret", "~*", "+@all")
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "app", Password: "secret", ReadTimeout: patience})
	defer func() { _ = client.Close() }()
	own := at(server.Addr())
	own.Username, own.Password = "app", "secret"
	for name, cfg := range map[string]redisdedupe.Config{"own": own, "the caller's": {Client: client, CallTimeout: patience}} {
		set("+@all")
		s := open(t, cfg)
		set("-@write")
		rs := []middleware.Reservation{{Key: "k", Token: 1, Lease: time.Minute}}
		err := s.Reserve(t.Context(), rs)
		if !errors.Is(err, durable.ErrDenied) || errors.Is(err, durable.ErrUnavailable) {
			t.Errorf("%s: got %v, want ErrDenied alone", name, err)
		}
		if _, err := redisdedupe.Open(t.Context(), cfg); !errors.Is(err, durable.ErrDenied) {
			t.Errorf("%s: open: got %v, want ErrDenied", name, err)
		}
	}
}
