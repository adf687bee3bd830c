package redispubsub

import (
	"errors"
	"strings"
	"testing"

	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

// TestConnectionsWithoutChannelsEnd removes every channel of a subscription, which goes on with another.
func TestConnectionsWithoutChannelsEnd(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisCluster(t)
	b := open(t, "", onCluster(c))
	channels := spread(12)
	s := subscribe(t, b, channels...)
	defer func() { _ = s.Close() }()
	h := s.(*sharded)
	var legs []*subscription
	h.mu.Lock()
	for _, leg := range h.legs {
		legs = append(legs, leg)
	}
	h.mu.Unlock()
	if len(legs) != 3 {
		t.Fatalf("got %d connections, want one to each master", len(legs))
	}
	if err := s.Remove(soon(t), channels...); err != nil {
		t.Fatal(err)
	}
	for _, leg := range legs {
		select {
		case <-leg.done:
		case <-soon(t).Done():
			t.Fatal("a connection without channels is kept")
		}
	}
	if err := s.Add(soon(t), channels[0]); err != nil {
		t.Fatal(err)
	}
	notify(t, b, channels[0], "heard")
	want(t, s, "heard")
}

// TestARefusedAddTakesNothingAway adds a channel that is heard already together with one that an access rule forbids.
func TestARefusedAddTakesNothingAway(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisClusterWith(t, testenv.ClusterOptions{Arm: func(ns []*testenv.RedisServer) {
		for _, n := range ns {
			if err := n.Client().Do(t.Context(), "acl", "setuser", "app", "on", ">secret", "~*", "&events:*", "+@all").Err(); err != nil {
				t.Fatal(err)
			}
		}
	}})
	b := open(t, "", onCluster(c), func(cfg *Config) { cfg.Username, cfg.Password = "app", "secret" })
	channels := spread(6)
	s := subscribe(t, b, channels...)
	defer func() { _ = s.Close() }()
	err := s.Add(soon(t), append([]string{"forbidden"}, channels...)...)
	if !errors.Is(err, realtime.ErrDenied) || !strings.Contains(err.Error(), "NOPERM") {
		t.Fatalf("got %v, want the refusal", err)
	}
	for _, ch := range channels {
		hear(t, b, s, ch, ch)
	}
	h := s.(*sharded)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.where["forbidden"] != nil {
		t.Error("the channel that was refused is kept")
	}
}
