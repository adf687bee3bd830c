package redispubsub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
	"github.com/dualstream/dualstream/realtime/realtimetest"
)

func onCluster(c *testenv.Cluster) func(*Config) {
	return func(cfg *Config) {
		cfg.Connection = Connection{Cluster: Cluster{Addrs: c.Addrs()}, Timeout: patience, DialTimeout: patience / 4}
	}
}

func classic(cfg *Config) { cfg.Classic = true }

func TestConformanceOnACluster(t *testing.T) {
	c := testenv.StartRedisCluster(t)
	for name, tune := range map[string][]func(*Config){"sharded": {onCluster(c)}, "classic": {onCluster(c), classic}} {
		t.Run(name, func(t *testing.T) {
			realtimetest.Run(t, realtimetest.Harness{
				New: func(t testing.TB) realtime.Backend { return open(t, "", tune...) },
				Break: func(t testing.TB) {
					for _, n := range c.Nodes() {
						if err := n.Client().ClientKillByFilter(t.Context(), "type", "pubsub").Err(); err != nil {
							t.Fatal(err)
						}
					}
				},
			})
		})
	}
}

func TestPatternsAreRefusedOnAClusterWithTheRemedy(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisCluster(t)
	b := open(t, "", onCluster(c))
	if b.Capabilities().Patterns {
		t.Error("got patterns, want none")
	}
	_, err := b.Subscribe(soon(t), realtime.Pattern("events:*"))
	if !errors.Is(err, realtime.ErrUnsupported) || !strings.Contains(err.Error(), "classic") {
		t.Errorf("got %v, want ErrUnsupported and a remedy", err)
	}
	s := subscribe(t, b, "a")
	defer func() { _ = s.Close() }()
	if err := s.Add(soon(t), realtime.Pattern("events:*")); !errors.Is(err, realtime.ErrUnsupported) {
		t.Errorf("add: got %v, want ErrUnsupported", err)
	}
}

// spread are channels, some on each of the nodes.
func spread(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint("events:order:", i)
	}
	return out
}

// TestAChannelWhoseSlotMovesIsHeardAgainBehindAGap moves the slot of one of many channels, which others stay out of.
func TestAChannelWhoseSlotMovesIsHeardAgainBehindAGap(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisCluster(t)
	b := open(t, "", onCluster(c))
	channels := spread(30)
	s := subscribe(t, b, channels...)
	defer func() { _ = s.Close() }()
	for i, ch := range channels {
		notify(t, b, ch, fmt.Sprint(i))
		want(t, s, fmt.Sprint(i))
	}
	for round := range 2 {
		ch := channels[round]
		c.Move(ch, c.Other(ch), nil)
		wantGap(t, s, realtime.GapReconnect)
		hear(t, b, s, ch, "moved") // the gap may be that of another channel, which had to be heard anew
	}
	for _, ch := range channels {
		hear(t, b, s, ch, ch)
	}
	if err := s.Remove(soon(t), channels[0]); err != nil {
		t.Fatal(err)
	}
	notify(t, b, channels[0], "unheard")
	notify(t, b, channels[1], "heard")
	await(t, s, "heard")
}

// await reads until the notification id; what comes before may be gaps and others.
func await(t *testing.T, s realtime.Subscription, id string) {
	t.Helper()
	for {
		switch got := next(t, s); got.Notification.ID {
		case id:
			return
		case "unheard":
			t.Fatal("a channel that was removed is heard")
		}
	}
}

func TestAMasterThatDiesIsFollowedBehindAGap(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisClusterWith(t, testenv.ClusterOptions{Replicas: true})
	b := open(t, "", onCluster(c))
	channels := spread(12)
	s := subscribe(t, b, channels...)
	defer func() { _ = s.Close() }()
	c.Failover(channels[0])
	wantGap(t, s, realtime.GapReconnect)
	for _, ch := range channels {
		hear(t, b, s, ch, ch)
	}
	if err := s.Add(soon(t), "another"); err != nil {
		t.Fatal(err)
	}
	hear(t, b, s, "another", "another")
}

// hear notifies until the notification arrives.
func hear(t *testing.T, b *Backend, s realtime.Subscription, channel, id string) {
	t.Helper()
	testenv.Await(t, patience, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if b.Notify(ctx, realtime.Notification{Channel: channel, ID: id}) != nil {
			return false
		}
		ctx, cancel = context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		for {
			got, err := s.Next(ctx)
			if err != nil {
				return false
			}
			if got.Notification.ID == id && got.Notification.Channel == channel {
				return true
			}
		}
	}, id+" arrives")
}
