package redispubsub

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

func TestARestartOfTheServerIsAGap(t *testing.T) {
	t.Parallel()
	server, channel := testenv.StartRedis(t, testenv.RedisOptions{}), unique(t)
	b := open(t, server.Addr())
	s := subscribe(t, b, channel, realtime.Pattern(channel+":*"))
	notify(t, b, channel, "1")
	want(t, s, "1")
	server.Kill()
	err := b.Notify(soon(t), realtime.Notification{Channel: channel, ID: "lost"})
	if !errors.Is(err, realtime.ErrUnavailable) {
		t.Errorf("Notify without a server: got %v, want ErrUnavailable", err)
	}
	if err := b.Health(soon(t)); !errors.Is(err, realtime.ErrUnavailable) {
		t.Errorf("Health without a server: got %v, want ErrUnavailable", err)
	}
	if _, err := b.Subscribe(soon(t), channel); !errors.Is(err, realtime.ErrUnavailable) {
		t.Errorf("Subscribe without a server: got %v, want ErrUnavailable", err)
	}
	server.Restart()
	wantGap(t, s, realtime.GapReconnect)
	insist(t, b, channel, "2")
	insist(t, b, channel+":x", "3")
	want(t, s, "2", "3")
}

func TestACutConnectionIsAGap(t *testing.T) {
	channel := unique(t)
	proxy := testenv.NewProxy(t, testenv.Redis(t))
	b := open(t, proxy.Addr())
	s := subscribe(t, b, channel)
	for _, id := range []string{"1", "2", "3"} {
		proxy.Cut()
		added := make(chan error, 1)
		go func() { added <- s.Add(soon(t), channel+id) }()
		proxy.Restore()
		wantGap(t, s, realtime.GapReconnect)
		if err := <-added; err != nil {
			t.Fatalf("Add while the connection is repaired: got %v, want nil", err)
		}
		insist(t, b, channel, id)
		insist(t, b, channel+id, id)
		want(t, s, id, id)
	}
}

func TestAFrozenServerBoundsNotifyAndIsAGap(t *testing.T) {
	t.Parallel()
	server, channel := testenv.StartRedis(t, testenv.RedisOptions{}), unique(t)
	b := open(t, server.Addr(), quickProbe, func(c *Config) { c.NotifyTimeout = time.Second })
	s := subscribe(t, b, channel)
	server.Freeze()
	defer server.Thaw()
	n := realtime.Notification{Channel: channel, ID: "lost"}
	cancelled, cancel := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	go func() { failed <- b.Notify(cancelled, n) }()
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("Notify, cancelled: got %v, want context.Canceled", err)
	}
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := b.Notify(short, n); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Notify with a deadline: got %v, want it exceeded", err)
	}
	if _, err := b.Subscribe(short, channel); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Subscribe with a deadline: got %v, want it exceeded", err)
	}
	if err := b.Notify(context.Background(), n); !errors.Is(err, realtime.ErrUnavailable) {
		t.Errorf("Notify without a deadline: got %v, want ErrUnavailable", err)
	}
	testenv.Await(t, patience, func() bool {
		sub := s.(*subscription)
		sub.mu.Lock()
		defer sub.mu.Unlock()
		return sub.ps == nil
	}, "the silent connection is given up")
	server.Thaw()
	wantGap(t, s, realtime.GapSilence)
	hear(t, b, s, channel, "1")
}

func TestCloseOnAFrozenServerIsBounded(t *testing.T) {
	server, channel := testenv.StartRedis(t, testenv.RedisOptions{}), unique(t)
	b := open(t, server.Addr(), quickProbe)
	s := subscribe(t, b, channel)
	server.Freeze()
	defer server.Thaw()
	if err := s.Close(); err != nil {
		t.Errorf("Close of the subscription: got %v, want nil", err)
	}
	if err := b.Close(soon(t)); err != nil {
		t.Errorf("Close: got %v, want nil", err)
	}
}

func TestAQuietConnectionThatAnswersStays(t *testing.T) {
	b, channel := open(t, testenv.Redis(t), func(c *Config) { c.ProbeIdle = 200 * time.Millisecond }), unique(t)
	s := subscribe(t, b, channel)
	testenv.Await(t, patience, func() bool { // were it given up without need, no second would pass without a gap
		quiet, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := s.Next(quiet)
		return errors.Is(err, context.DeadlineExceeded)
	}, "the connection stays for five times the silence")
	hear(t, b, s, channel, "1")
}

func TestARefusedChannelIsAnErrorAndTheOthersGoOn(t *testing.T) {
	server := testenv.StartRedis(t, testenv.RedisOptions{})
	b := open(t, server.Addr())
	err := server.Client().Do(soon(t), "acl", "setuser", "default", "resetchannels", "&allowed").Err()
	if err != nil {
		t.Fatalf("acl: %v", err)
	}
	if _, err := b.Subscribe(soon(t), "refused"); !errors.Is(err, realtime.ErrDenied) {
		t.Errorf("Subscribe: got %v, want ErrDenied", err)
	}
	s := subscribe(t, b, "allowed")
	if err := s.Add(soon(t), "refused"); !errors.Is(err, realtime.ErrDenied) {
		t.Errorf("Add: got %v, want ErrDenied", err)
	}
	wantGap(t, s, realtime.GapReconnect)
	notify(t, b, "allowed", "1")
	want(t, s, "1")
	if err := b.Notify(soon(t), realtime.Notification{Channel: "refused", ID: "1"}); !errors.Is(err, realtime.ErrDenied) || errors.Is(err, realtime.ErrUnavailable) {
		t.Errorf("Notify: got %v, want ErrDenied", err)
	}
}
