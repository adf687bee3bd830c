package adapters_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestTheDedupeOfAFileRemembersAsLongAsItSays(t *testing.T) {
	for section, want := range map[string][]string{
		"":                      {"1", "1", "1", "2"},
		"dedupe: {}":            {"1", "2"},
		"dedupe: { keep: 90s }": {"1", "1", "2"},
	} {
		t.Run(section, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := opened(t, oneByOne+section+"\n")
				h := &handling{begin: time.Now()}
				run := consume(s, "billing", func(_ context.Context, e durable.Event) error { h.start(e.ID)(); return nil })
				publishOrders(t, s, "1", "1")
				time.Sleep(2 * time.Minute)
				publishOrders(t, s, "1", "2")
				time.Sleep(time.Minute)
				run.end(t)
				if ids, _ := h.sorted(); !slices.Equal(ids, want) {
					t.Errorf("handled %v, want %v", ids, want)
				}
			})
		})
	}
}

// member is a process with a stream of its own, in which the event 1 is; it has the dedupe of the section.
func member(t *testing.T, section string) *dual.Stack {
	t.Helper()
	s := opened(t, oneByOne+section+"\n")
	publishOrders(t, s, "1")
	return s
}

// once consumes s until its event is acknowledged, and tells how often it was handled.
func once(t *testing.T, s *dual.Stack) int {
	t.Helper()
	h := &handling{begin: time.Now()}
	run := consume(s, "billing", func(_ context.Context, e durable.Event) error { h.start(e.ID)(); return nil })
	testenv.Await(t, time.Minute, func() bool { return acknowledged(t, s) }, "the event is acknowledged")
	run.end(t)
	ids, _ := h.sorted()
	return len(ids)
}

// acknowledged tells whether the group has the only event of s behind it.
func acknowledged(t *testing.T, s *dual.Stack) bool {
	t.Helper()
	lag, err := s.Durable.(durable.LagReporter).Lag(t.Context(), "billing", s.Topic())
	return err == nil && len(lag) == 1 && lag[0].Lag+lag[0].Pending == 0
}

// kept is for how long Redis has the only event of the group billing.
func kept(t *testing.T, addr, prefix string) time.Duration {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: time.Minute})
	defer func() { _ = client.Close() }()
	keys, err := client.Keys(t.Context(), prefix+"billing*").Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("keys %v, %v, want one of the group", keys, err)
	}
	return client.PTTL(t.Context(), keys[0]).Val()
}

func TestRedisDedupeOfAFileIsSharedByProcesses(t *testing.T) {
	addr := testenv.Redis(t)
	for _, c := range []struct {
		name, store, prefix string
		second              int
	}{
		{"of each process", "memory", "", 1},
		{"shared", "redis", testenv.Name(t, "d") + ":", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			section := "dedupe: { store: " + c.store + ", keep: 1h, redis: { addr: '" + addr + "', prefix: '" + c.prefix + "', call_timeout: 30s } }"
			if first, second := once(t, member(t, section)), once(t, member(t, section)); first != 1 || second != c.second {
				t.Errorf("handled %d and %d times, want 1 and %d", first, second, c.second)
			}
			if c.store == "memory" {
				return
			}
			if left := kept(t, addr, c.prefix); left <= 50*time.Minute || left > time.Hour {
				t.Errorf("a handled event is kept for %s, want nearly 1h", left)
			}
			other := "dedupe: { store: redis, redis: { addr: '" + addr + "', prefix: '" + testenv.Name(t, "d") + ":', call_timeout: 30s } }"
			if n := once(t, member(t, other)); n != 1 {
				t.Errorf("with another prefix: handled %d times, want 1", n)
			}
		})
	}
}

// TestTheLeaseOfAFileHoldsAnEventOfAnotherProcess has two processes take the same event.
func TestTheLeaseOfAFileHoldsAnEventOfAnotherProcess(t *testing.T) {
	addr, prefix := testenv.Redis(t), testenv.Name(t, "d")+":"
	section := "dedupe: { store: redis, lease: 5m, redis: { addr: '" + addr + "', prefix: '" + prefix + "', call_timeout: 30s } }"
	first, begun, finish := member(t, section), make(chan struct{}), make(chan struct{})
	run := consume(first, "billing", func(context.Context, durable.Event) error {
		close(begun)
		<-finish
		return nil
	})
	<-begun
	if left := kept(t, addr, prefix); left <= 4*time.Minute || left > 5*time.Minute {
		t.Errorf("the reservation lasts for %s, want nearly 5m", left)
	}
	second, h := member(t, section), &handling{begin: time.Now()}
	other := waiting(t, second, h)
	close(finish)
	testenv.Await(t, time.Minute, func() bool { return acknowledged(t, second) }, "the event is acknowledged")
	other.end(t)
	run.end(t)
	if ids, _ := h.sorted(); len(ids) != 0 {
		t.Errorf("the other process handled %v, want nothing", ids)
	}
}

// waiting consumes s, and returns once its event waits to be tried again.
func waiting(t *testing.T, s *dual.Stack, h *handling) consuming {
	t.Helper()
	monitor := new(durable.Monitor)
	s.Process.Monitor = monitor
	run := consume(s, "billing", func(_ context.Context, e durable.Event) error { h.start(e.ID)(); return nil })
	testenv.Await(t, time.Minute, func() bool { return monitor.Stats().Total().Waiting > 0 }, "the event waits")
	return run
}

func TestAFileSaysWhatHappensWhileTheDedupeStoreIsDown(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{Proxied: true})
	section := "dedupe: { store: redis, fail_open: true, redis: { addr: '" + r.Addr() + "', prefix: 'open:', call_timeout: 30s } }"
	open, closed := member(t, section), member(t, "dedupe: { store: redis, redis: { addr: '"+r.Addr()+"', prefix: 'closed:', call_timeout: 30s } }")
	r.Proxy().Cut()
	if n := once(t, open); n != 1 {
		t.Errorf("fail_open: handled %d times, want 1", n)
	}
	h := &handling{begin: time.Now()}
	run := waiting(t, closed, h)
	if ids, _ := h.sorted(); len(ids) != 0 {
		t.Errorf("without fail_open: handled %v while the store is down, want nothing", ids)
	}
	r.Proxy().Restore()
	testenv.Await(t, time.Minute, func() bool { ids, _ := h.sorted(); return len(ids) == 1 }, "it is handled")
	run.end(t)
}
