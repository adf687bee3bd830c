package redispubsub

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

func TestMain(m *testing.M) {
	testenv.SideBySide(4)
	leaktest.Main(m, testenv.Leaks()...)
}

func TestADispatcherRecoversFromEveryFault(t *testing.T) {
	t.Parallel()
	faults := []struct {
		name       string
		do, repair func(*testenv.RedisServer)
	}{
		{"frozen", func(s *testenv.RedisServer) { s.Freeze() }, func(s *testenv.RedisServer) { s.Thaw() }},
		{"killed", func(s *testenv.RedisServer) { s.Kill() }, func(s *testenv.RedisServer) { s.Restart() }},
		{"stopped", func(s *testenv.RedisServer) { s.Stop() }, func(s *testenv.RedisServer) { s.Restart() }},
	}
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			server, channel := testenv.StartRedis(t, testenv.RedisOptions{}), unique(t)
			b := open(t, server.Addr())
			d, err := realtime.NewDispatcher(b, realtime.DispatcherOptions{
				Queue: 64, Timeout: 100 * time.Millisecond, BackoffMax: 200 * time.Millisecond,
				Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			})
			if err != nil {
				t.Fatalf("NewDispatcher: got %v, want nil", err)
			}
			s := subscribe(t, b, channel)
			hearDispatched(t, d, s, channel, "before")
			fault.do(server)
			testenv.Await(t, patience, func() bool { // every Dispatch returns, until the breaker has opened
				d.Dispatch(realtime.Notification{Channel: channel, ID: "during"})
				return d.Stats().Breaker != realtime.BreakerClosed
			}, "the breaker opens")
			fault.repair(server)
			testenv.Await(t, patience, func() bool {
				return d.Dispatch(realtime.Notification{Channel: channel, ID: "after"}) == 1 && d.Stats().Breaker == realtime.BreakerClosed
			}, "the breaker closes")
			hearDispatched(t, d, s, channel, "last")
			if err := d.Close(soon(t)); err != nil {
				t.Errorf("Close: got %v, want nil", err)
			}
		})
	}
}

// hearDispatched dispatches until the subscription yields id: the dispatcher drops what a server that stands still does not
// take, and the subscription repairs itself at its own pace.
func hearDispatched(t *testing.T, d *realtime.Dispatcher, s realtime.Subscription, channel, id string) {
	t.Helper()
	testenv.Await(t, patience, func() bool {
		d.Dispatch(realtime.Notification{Channel: channel, ID: id})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		for {
			got, err := s.Next(ctx)
			if err != nil || got.Notification.ID == id {
				return err == nil
			}
		}
	}, "the subscription yields "+id)
}
