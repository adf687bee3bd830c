package dual_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/redispubsub"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

const (
	healthBound    = 500 * time.Millisecond
	healthGrace    = 2 * time.Second // of a busy machine, which may stand still for longer now and then, not three times in a row
	healthPatience = 60 * time.Second
)

// spoiled is a server behind a proxy that can be frozen, killed and slowed down.
type spoiled interface {
	Freeze()
	Thaw()
	Kill()
	Restart()
}

// watchFaults probes part while the server behind it fails in three ways; want is its state then.
func watchFaults(t *testing.T, server spoiled, proxy *testenv.Proxy, c dual.HealthCheck, want string) {
	t.Helper()
	h := newHealth(t, dual.HealthOptions{Bound: healthBound, Fresh: time.Millisecond}, c)
	slow := 0 // probes in a row
	state := func() string {
		begin := time.Now()
		r := h.Ready(t.Context())
		took := time.Since(begin)
		if slow++; took <= healthBound+healthGrace {
			slow = 0
		}
		if slow == 3 {
			t.Errorf("three probes took too long, the last one %s, want at most %s", took, healthBound)
		}
		return r.Parts[0].State
	}
	await := func(want, when string) {
		t.Helper()
		testenv.Await(t, healthPatience, func() bool { return state() == want }, when+": "+want)
	}
	await("ok", "at first")
	for _, fault := range []struct {
		name    string
		do, end func()
	}{
		{"frozen", server.Freeze, server.Thaw},
		{"killed", server.Kill, server.Restart},
		{"slow", func() { proxy.Delay(2 * time.Second) }, proxy.Restore},
	} {
		fault.do()
		for range 3 {
			await(want, fault.name)
		}
		fault.end()
		await("ok", "after "+fault.name)
	}
}

func TestHealthOfARedisThatIsFrozenKilledAndSlow(t *testing.T) {
	server := testenv.StartRedis(t, testenv.RedisOptions{Proxied: true})
	b, err := redisstream.Open(t.Context(), redisstream.Config{Connection: redisstream.Connection{Addr: server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	watchFaults(t, server, server.Proxy(), dual.CheckDurable(b), "failed")
}

func TestHealthOfARealTimeRedisIsDegradedWhileItFails(t *testing.T) {
	server := testenv.StartRedis(t, testenv.RedisOptions{Proxied: true})
	b, err := redispubsub.Open(t.Context(), redispubsub.Config{Connection: redispubsub.Connection{Addr: server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	watchFaults(t, server, server.Proxy(), dual.CheckRealtime(b), "degraded")
}

func TestHealthOfAKafkaThatIsFrozenKilledAndSlow(t *testing.T) {
	cluster := testenv.StartKafka(t, testenv.KafkaOptions{Proxied: true})
	b, err := kafka.Open(t.Context(), kafka.Config{Brokers: cluster.Brokers()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	node := cluster.Nodes()[0]
	watchFaults(t, node, node.Proxy(), dual.CheckDurable(b), "failed")
}

func TestARedisThatForgetsIsDegradedWithTheSettingToChange(t *testing.T) {
	server := testenv.StartRedis(t, testenv.RedisOptions{AppendOnly: "no"})
	b, err := redisstream.Open(t.Context(), redisstream.Config{Connection: redisstream.Connection{Addr: server.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	h := newHealth(t, dual.HealthOptions{Bound: healthPatience}, dual.CheckDurable(b))
	r := h.Ready(t.Context())
	if !r.OK || r.Parts[0].State != "degraded" || !strings.Contains(r.Parts[0].Reason, "appendonly") {
		t.Errorf("got %+v, want degraded because of appendonly", r)
	}
	if err := b.Health(t.Context()); err == nil || !strings.Contains(err.Error(), durable.ErrAtRisk.Error()) {
		t.Errorf("Health: got %v, want ErrAtRisk", err)
	}
}
