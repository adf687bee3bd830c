package redisdedupe_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/adapters/redisdedupe"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/middleware/dedupetest"
)

const patience = 20 * time.Second

func TestMain(m *testing.M) {
	testenv.SideBySide(4)
	testenv.Main(m, map[string]func(){"reserve": reserveAndHang, "process": processAndHang})
}

func open(t testing.TB, cfg redisdedupe.Config) *redisdedupe.Store {
	t.Helper()
	s, err := redisdedupe.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("Open: got %v, want nil", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("Close: got %v, want nil", err)
		}
	})
	return s
}

// at is on the server at addr, which may stand still for a while.
func at(addr string) redisdedupe.Config {
	return redisdedupe.Config{Connection: redisdedupe.Connection{Addr: addr, Timeout: patience}, CallTimeout: patience}
}

func TestConformance(t *testing.T) {
	addr := testenv.Redis(t)
	dedupetest.Run(t, func(t testing.TB) middleware.DedupeStore { return open(t, at(addr)) })
}

func TestConformanceOnACluster(t *testing.T) {
	t.Parallel()
	cluster := testenv.StartRedisCluster(t)
	dedupetest.Run(t, func(t testing.TB) middleware.DedupeStore {
		client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addrs(), ReadTimeout: patience})
		s := open(t, redisdedupe.Config{Client: client, CallTimeout: patience})
		t.Cleanup(func() { _ = client.Close() })
		return s
	})
}

func TestConcurrentCallsShareRoundTrips(t *testing.T) {
	server := testenv.StartRedis(t, testenv.RedisOptions{Proxied: true})
	s := open(t, at(server.Addr()))
	before := reads(t, server)
	server.Proxy().Delay(200 * time.Millisecond) // far more than the calls need to begin
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			rs := []middleware.Reservation{{Key: fmt.Sprint(i), Token: uint64(i), Lease: time.Minute}}
			if err := s.Reserve(t.Context(), rs); err != nil || rs[0].State != middleware.DedupeReserved {
				t.Errorf("Reserve %d: got %v, %v", i, rs[0].State, err)
			}
		})
	}
	wg.Wait()
	if n := reads(t, server) - before; n > 60 {
		t.Errorf("reads of the server for 200 calls: got %d, want a few pipelines", n)
	}
}

// reads is how often the server has read from its connections.
func reads(t *testing.T, server *testenv.RedisServer) int {
	t.Helper()
	info, err := server.Client().InfoMap(t.Context(), "stats").Result()
	if err != nil {
		t.Fatalf("INFO: %v", err)
	}
	n := 0
	if _, err := fmt.Sscan(info["Stats"]["total_reads_processed"], &n); err != nil {
		t.Fatalf("total_reads_processed: %v", err)
	}
	return n
}

func TestAFrozenServerIsAnErrorWithinTheTimeout(t *testing.T) {
	server := testenv.StartRedis(t, testenv.RedisOptions{})
	cfg := at(server.Addr())
	cfg.CallTimeout = 100 * time.Millisecond
	var s *redisdedupe.Store
	testenv.Await(t, patience, func() (opened bool) {
		var err error
		s, err = redisdedupe.Open(t.Context(), cfg)
		return err == nil
	}, "Open is answered within the timeout, too")
	defer func() { _ = s.Close(context.Background()) }()
	rs := []middleware.Reservation{{Key: "a", Token: 1, Lease: time.Minute}}
	server.Freeze()
	if err := s.Reserve(t.Context(), rs); !errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("Reserve: got %v, want ErrUnavailable", err)
	}
	if err := s.Settle(t.Context(), []middleware.Settlement{{Key: "a", Token: 1}}); !errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("Settle: got %v, want ErrUnavailable", err)
	}
	if err := s.Health(t.Context()); !errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("Health: got %v, want ErrUnavailable", err)
	}
	server.Thaw()
	testenv.Await(t, patience, func() bool { return s.Health(t.Context()) == nil }, "healthy again")
	testenv.Await(t, patience, func() bool { return s.Reserve(t.Context(), rs) == nil }, "reserves again")
}

func TestAClosedStoreRefuses(t *testing.T) {
	s := open(t, at(testenv.Redis(t)))
	for range 2 {
		if err := s.Close(t.Context()); err != nil {
			t.Errorf("Close: got %v, want nil", err)
		}
	}
	rs := []middleware.Reservation{{Key: "a", Token: 1, Lease: time.Minute}}
	if err := s.Reserve(t.Context(), rs); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("Reserve: got %v, want ErrClosed", err)
	}
	if err := s.Health(t.Context()); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("Health: got %v, want ErrClosed", err)
	}
}

func TestCloseLeavesTheCallersClientAlone(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: testenv.Redis(t), ReadTimeout: patience})
	t.Cleanup(func() { _ = client.Close() })
	s := open(t, redisdedupe.Config{Client: client, CallTimeout: patience})
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("Close: got %v, want nil", err)
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Errorf("the caller's client after Close: got %v, want nil", err)
	}
}

func TestOpenNamesWhatIsWrong(t *testing.T) {
	defer leaktest.None(t, goleak.IgnoreCurrent())
	for name, cfg := range map[string]redisdedupe.Config{
		"no address":      {},
		"braces":          {Connection: redisdedupe.Connection{Addr: "127.0.0.1:1"}, Prefix: "{a}"},
		"timeout":         {Connection: redisdedupe.Connection{Addr: "127.0.0.1:1"}, CallTimeout: time.Microsecond},
		"nobody is there": {Connection: redisdedupe.Connection{Addr: "127.0.0.1:1"}},
	} {
		if s, err := redisdedupe.Open(t.Context(), cfg); err == nil {
			t.Errorf("%s: got no error", name)
			_ = s.Close(t.Context())
		}
	}
}
