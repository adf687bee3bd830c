package redispubsub

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

func TestMain(m *testing.M) {
	testenv.SideBySide(4)
	goleak.VerifyTestMain(m, testenv.Leaks()...)
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
			b := open(t, server.Addr(), quickProbe)
			d, err := realtime.NewDispatcher(b, realtime.DispatcherOptions{
				Queue: 64, Timeout: 100 * time.Millisecond, BackoffMax: 200 * time.Millisecond,
				Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			})
			if err != nil {
				t.Fatalf("NewDispatcher: got %v, want nil", err)
			}
			s := subscribe(t, b, channel)
			d.Dispatch(realtime.Notification{Channel: channel, ID: "before"})
			want(t, s, "before")
			fault.do(server)
			testenv.Await(t, patience, func() bool { // every Dispatch returns, until the breaker has opened
				d.Dispatch(realtime.Notification{Channel: channel, ID: "during"})
				return d.Stats().Opened > 0
			}, "the breaker opens")
			fault.repair(server)
			testenv.Await(t, patience, func() bool {
				return d.Dispatch(realtime.Notification{Channel: channel, ID: "after"}) == 1 && d.Stats().Breaker == realtime.BreakerClosed
			}, "the breaker closes")
			awaitAfter(t, d, s, channel)
			if err := d.Close(soon(t)); err != nil {
				t.Errorf("Close: got %v, want nil", err)
			}
		})
	}
}

// awaitAfter dispatches until the subscription, which repairs itself at its own pace, yields something new.
func awaitAfter(t *testing.T, d *realtime.Dispatcher, s realtime.Subscription, channel string) {
	t.Helper()
	arrived := make(chan struct{})
	go func() {
		defer close(arrived)
		for {
			got, err := s.Next(soon(t))
			if err != nil || got.Notification.ID == "last" {
				return
			}
		}
	}()
	testenv.Await(t, patience, func() bool {
		d.Dispatch(realtime.Notification{Channel: channel, ID: "last"})
		select {
		case <-arrived:
			return true
		default:
			return false
		}
	}, "the subscription yields what was dispatched after the fault")
}
