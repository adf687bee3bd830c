package testenv

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	sentinelMaster = "testenv"
	sentinels      = 3
	// masterSilence is when the sentinels call a master dead. With 1 s, a machine short of processor time saw a
	// second failover, back to the old master; with 3 s, one that stood still for so long would see one.
	masterSilence = 5 * time.Second
	// failoverTimeout bounds what Failover waits for; it takes about 7 s.
	failoverTimeout = 60 * time.Second
)

// A Sentinel is a private master with one replica, watched by three sentinels. They call a master dead that has
// been silent for 5 s.
type Sentinel struct {
	t      testing.TB
	redis  []*RedisServer
	watch  []*Server
	addrs  []string
	master int // index in redis
}

// StartSentinel starts it; it ends with t. It returns once every sentinel knows the replica and the others.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	first := StartRedis(t, RedisOptions{})
	second := StartRedis(t, RedisOptions{ReplicaOf: first})
	s := &Sentinel{t: t, redis: []*RedisServer{first, second}}
	for range sentinels {
		s.add()
	}
	Await(t, readyTimeout, s.formed, "the sentinels know master, replica and each other")
	return s
}

// add starts one sentinel.
func (s *Sentinel) add() {
	s.t.Helper()
	binary, err := redisServer().path(s.t.Context())
	must(s.t, "no Redis for this test", err)
	port := reservePort(s.t)
	dir, addr := tempDir(s.t), loopback(port)
	host, masterPort := splitAddr(s.redis[0].addr)
	config := strings.Join([]string{
		fmt.Sprintf("port %d", port), "bind 127.0.0.1", "dir " + dir,
		fmt.Sprintf("sentinel monitor %s %s %s 2", sentinelMaster, host, masterPort),
		fmt.Sprintf("sentinel down-after-milliseconds %s %d", sentinelMaster, masterSilence.Milliseconds()),
		"sentinel failover-timeout " + sentinelMaster + " 5000",
	}, "\n") + "\n"
	file := filepath.Join(dir, "sentinel.conf") // the sentinel writes to it
	must(s.t, "configure a sentinel", os.WriteFile(file, []byte(config), 0o600))
	server := &Server{
		t: s.t, name: "sentinel " + addr, dir: dir, command: []string{binary, file, "--sentinel"},
		ready: func(ctx context.Context) error { return redisPing(ctx, addr, "") },
	}
	server.run()
	server.await()
	// With the periods of production (10 s and 2 s), it takes that long until a failover is possible, and four
	// times the second until a restarted master is made a replica.
	must(s.t, "set the sentinel's periods",
		redisDo(s.t.Context(), addr, "SENTINEL DEBUG info-period 300", "SENTINEL DEBUG publish-period 300"))
	s.watch, s.addrs = append(s.watch, server), append(s.addrs, addr)
}

// formed reports whether a failover would find its quorum and its replica.
func (s *Sentinel) formed() bool {
	return s.all(func(ctx context.Context, c *redis.SentinelClient) bool {
		info, err := c.Master(ctx, sentinelMaster).Result()
		return err == nil && info["flags"] == "master" && info["num-slaves"] == "1" &&
			info["num-other-sentinels"] == fmt.Sprint(sentinels-1) && s.replicaSynced(ctx, c)
	})
}

func (s *Sentinel) replicaSynced(ctx context.Context, c *redis.SentinelClient) bool {
	replicas, err := c.Replicas(ctx, sentinelMaster).Result()
	return err == nil && len(replicas) == 1 && replicas[0]["flags"] == "slave" && replicas[0]["master-link-status"] == "ok"
}

// all asks every sentinel.
func (s *Sentinel) all(ask func(context.Context, *redis.SentinelClient) bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	for _, addr := range s.addrs {
		c := redis.NewSentinelClient(&redis.Options{Addr: addr, MaxRetries: -1})
		ok := ask(ctx, c)
		_ = c.Close()
		if !ok {
			return false
		}
	}
	return true
}

// Addrs are the sentinels.
func (s *Sentinel) Addrs() []string { return slices.Clone(s.addrs) }

// MasterName is what the sentinels call the master.
func (s *Sentinel) MasterName() string { return sentinelMaster }

// Master is the server that was master at the start, or after the last Failover.
func (s *Sentinel) Master() *RedisServer { return s.redis[s.master] }

// Replica is the other server.
func (s *Sentinel) Replica() *RedisServer { return s.redis[1-s.master] }

// Sentinels are the processes of the sentinels.
func (s *Sentinel) Sentinels() []*Server { return slices.Clone(s.watch) }

// Client returns a new client that follows the master. It closes with the test.
func (s *Sentinel) Client() *redis.Client {
	c := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: sentinelMaster, SentinelAddrs: s.addrs})
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// Failover kills the master and returns once all sentinels name the replica, which then accepts writes. The killed
// server is now Replica and stays dead until its Restart, after which the sentinels make it follow the new master.
func (s *Sentinel) Failover() {
	s.t.Helper()
	s.Master().Kill()
	s.AwaitFailover()
}

// AwaitFailover is Failover for a master that the test killed or froze itself.
func (s *Sentinel) AwaitFailover() {
	s.t.Helper()
	host, port := splitAddr(s.Replica().addr)
	client := s.Replica().Client()
	Await(s.t, failoverTimeout, func() bool {
		named := s.all(func(ctx context.Context, c *redis.SentinelClient) bool {
			addr, err := c.GetMasterAddrByName(ctx, sentinelMaster).Result()
			return err == nil && slices.Equal(addr, []string{host, port})
		})
		if !named {
			return false
		}
		role, err := client.Do(context.Background(), "role").Slice()
		return err == nil && len(role) > 0 && role[0] == "master"
	}, "the sentinels make "+s.Replica().addr+" the master")
	s.master = 1 - s.master
}
