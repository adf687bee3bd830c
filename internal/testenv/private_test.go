package testenv

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestARestartedRedisHasItsData(t *testing.T) {
	r := StartRedis(t, RedisOptions{AppendFsync: "always", Password: "secret"})
	c := r.Client()
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(){"kill": r.Kill, "stop": r.Stop} {
		end()
		if err := c.Ping(t.Context()).Err(); err == nil {
			t.Errorf("after %s: the server answers", name)
		}
		r.Restart()
		if got, err := c.Get(t.Context(), "k").Result(); got != "v" {
			t.Errorf("after %s: got %q, %v, want v", name, got, err)
		}
	}
}

func TestAFrozenRedisAnswersWhenThawed(t *testing.T) {
	r := StartRedis(t, RedisOptions{})
	r.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := redisPing(ctx, r.Addr(), ""); err == nil {
		t.Error("a frozen server answers")
	}
	r.Thaw()
	if err := redisPing(t.Context(), r.Addr(), ""); err != nil {
		t.Errorf("a thawed server: %v", err)
	}
}

func TestProxyEffects(t *testing.T) {
	r := StartRedis(t, RedisOptions{Proxied: true})
	p := r.Proxy()
	ping := func() error { return redisPing(t.Context(), r.Addr(), "") }
	if r.Addr() == r.DirectAddr() {
		t.Fatal("the address is not the proxy's")
	}
	p.Cut()
	if ping() == nil {
		t.Error("cut: the server answers")
	}
	p.Restore()
	if err := ping(); err != nil {
		t.Errorf("restored: %v", err)
	}
	p.Delay(100 * time.Millisecond)
	began := time.Now()
	if err := ping(); err != nil || time.Since(began) < 200*time.Millisecond {
		t.Errorf("delayed: answered after %s, %v, want 200ms or more", time.Since(began), err)
	}
	p.Restore()
	p.Stall()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if redisPing(ctx, r.Addr(), "") == nil {
		t.Error("stalled: the server answers")
	}
	p.Restore()
	if err := ping(); err != nil {
		t.Errorf("restored: %v", err)
	}
}

func TestAThrottledProxyIsSlow(t *testing.T) {
	r := StartRedis(t, RedisOptions{Proxied: true})
	c := redis.NewClient(&redis.Options{Addr: r.Addr(), MaxRetries: -1, ReadTimeout: soon, WriteTimeout: soon})
	t.Cleanup(func() { _ = c.Close() })
	r.Proxy().Throttle(100_000)
	began := time.Now()
	if err := c.Set(t.Context(), "k", strings.Repeat("x", 50_000), 0).Err(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("50 kB at 100 kB/s took %s, want about 500ms", took)
	}
}

func TestReplicaFollows(t *testing.T) {
	master := StartRedis(t, RedisOptions{Password: "secret"})
	if err := master.Client().Set(t.Context(), "before", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	c := StartRedis(t, RedisOptions{Password: "secret", ReplicaOf: master}).Client()
	if got, err := c.Get(t.Context(), "before").Result(); got != "v" {
		t.Errorf("got %q, %v, want what the master had", got, err)
	}
	if err := master.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	Await(t, soon, func() bool { return c.Get(t.Context(), "k").Val() == "v" }, "the replica has the key")
}

func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	s := StartSentinel(t)
	c, old := s.Client(), s.Master()
	if err := c.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	replica := s.Replica().Client()
	Await(t, soon, func() bool { return replica.Get(t.Context(), "k").Val() == "v" }, "the replica has the key")
	s.Failover()
	if s.Master() == old {
		t.Error("the master has not changed")
	}
	Await(t, soon, func() bool { return c.Append(t.Context(), "k", "w").Err() == nil }, "the client writes again")
	old.Restart()
	oldClient := old.Client()
	Await(t, soon, func() bool {
		return strings.HasPrefix(oldClient.Get(t.Context(), "k").Val(), "vw")
	}, "the old master follows the new one")
}

func TestClusterNodeRestarts(t *testing.T) {
	t.Parallel()
	c := StartRedisCluster(t)
	client := c.Client()
	keys := []string{"a", "b", "c", "d", "e", "f"}
	for _, k := range keys {
		if err := client.Set(t.Context(), k, k, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range c.Nodes() {
		if n.Client().DBSize(t.Context()).Val() == 0 {
			t.Errorf("%s has no key: they are not spread", n.Addr())
		}
	}
	c.Nodes()[1].Kill()
	c.Nodes()[1].Restart()
	c.AwaitOK()
	for _, k := range keys {
		Await(t, soon, func() bool { return client.Get(t.Context(), k).Val() == k }, "key "+k+" is there")
	}
}

func TestHelperProcesses(t *testing.T) {
	p := Reexec(t, "count")
	p.AwaitLine(soon, "n 10")
	for range 50 {
		p.Freeze()
		if !stopped(p.Pid()) {
			t.Fatal("a frozen helper still runs")
		}
		p.Thaw()
	}
	p.Freeze()
	Await(t, soon, quiet(p), "a frozen helper is silent")
	before := len(p.Lines())
	p.Thaw()
	Await(t, soon, func() bool { return len(p.Lines()) > before }, "a thawed helper goes on")
	p.Kill()
	if err := p.Wait(soon); err == nil {
		t.Error("a killed helper ended without an error")
	}
	if err := Reexec(t, "fail").Wait(soon); err == nil || !strings.Contains(err.Error(), "3") {
		t.Errorf("got %v, want exit status 3", err)
	}
}

// quiet returns a condition that holds once five looks in a row found nothing new from p.
func quiet(p *Process) func() bool {
	seen, looks := -1, 0
	return func() bool {
		looks++
		if n := len(p.Lines()); n != seen {
			seen, looks = n, 0
		}
		return looks >= 5
	}
}

func TestNamesDifferAndAreTopicNames(t *testing.T) {
	t.Run("a/b c", func(t *testing.T) {
		a, b := Name(t, "topic"), Name(t, "topic")
		if a == b {
			t.Errorf("%s twice", a)
		}
		if plain(strings.TrimPrefix(a, "topic")) != strings.TrimPrefix(a, "topic") || len(a) > 249 {
			t.Errorf("%q is not a name for a topic", a)
		}
	})
}
