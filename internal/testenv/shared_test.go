package testenv

import (
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

func TestTheSharedServersAnswer(t *testing.T) {
	if err := redisPing(t.Context(), Redis(t), ""); err != nil {
		t.Error(err)
	}
	if err := kafkaPing(t.Context(), Kafka(t)); err != nil {
		t.Error(err)
	}
}

// isolated gives the test shared servers of its own, which linger as long as it says.
func isolated(t *testing.T, linger string) {
	t.Helper()
	t.Setenv(envDir, t.TempDir())
	t.Setenv(envLinger, linger)
	t.Setenv(envRedis, "")
	t.Cleanup(func() {
		if err := sharedRedis().stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestProcessesShareOneServer(t *testing.T) {
	isolated(t, "10s")
	a, b := Reexec(t, "user"), Reexec(t, "user")
	first, second := a.AwaitLine(soon, "addr "), b.AwaitLine(soon, "addr ")
	if first != second {
		t.Errorf("two users got %s and %s, want one server", first, second)
	}
}

func TestTheWatchdogEndsTheServerOfKilledUsers(t *testing.T) {
	isolated(t, "500ms")
	a, b := Reexec(t, "user"), Reexec(t, "user")
	addr := a.AwaitLine(soon, "addr ")
	b.AwaitLine(soon, "addr ")
	a.Kill()
	if err := redisPing(t.Context(), addr, ""); err != nil {
		t.Fatalf("the server ended while it was used: %v", err)
	}
	b.Kill()
	Await(t, soon, func() bool { return redisPing(t.Context(), addr, "") != nil }, "the server ends")
	data := filepath.Join(sharedRedis().dir(), "data")
	Await(t, soon, func() bool { return !exists(data) }, "its data are removed")
	if err := redisPing(t.Context(), Redis(t), ""); err != nil {
		t.Errorf("the next user has no server: %v", err)
	}
}

func TestUsersArrivingAtTheEndHaveAServerThatStays(t *testing.T) {
	isolated(t, "1ms")
	for range 20 { // about as often as not the watchdog is ending the server
		addr, release, err := SharedRedis(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := redisPing(t.Context(), addr, ""); err != nil {
			t.Errorf("the server went while it was held: %v", err)
		}
		release()
	}
}

func TestACrashedSharedServerIsReplaced(t *testing.T) {
	isolated(t, "10s")
	addr := Redis(t)
	pid, ok := serverPid(sharedRedis().dir())
	if !ok {
		t.Fatal("no process id of the shared server")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	Await(t, soon, func() bool { return redisPing(t.Context(), addr, "") != nil }, "the server ends")
	if err := redisPing(t.Context(), Redis(t), ""); err != nil {
		t.Errorf("no new server: %v", err)
	}
}

func TestASharedServerHoldsNothingOfItsFirstUser(t *testing.T) {
	isolated(t, "10s")
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := lockFile(t.Context(), path, syscall.LOCK_EX)
	must(t, "lock a file", err)
	inherited, err := syscall.Dup(int(lock.f.Fd())) // what flock(1) and make leave open
	must(t, "duplicate the descriptor", err)
	Redis(t)
	lock.unlock()
	must(t, "close the descriptor", syscall.Close(inherited))
	if isLocked(path) {
		t.Error("the server holds the lock")
	}
}

func TestAnExternalServerIsUsedAsItIs(t *testing.T) {
	own := StartRedis(t, RedisOptions{})
	t.Setenv(envRedis, own.Addr())
	if got := Redis(t); got != own.Addr() {
		t.Errorf("got %s, want %s", got, own.Addr())
	}
	own.Kill()
	_, _, err := SharedRedis(t.Context())
	if err == nil || !strings.Contains(err.Error(), envRedis) {
		t.Errorf("got %v, want an error that names %s", err, envRedis)
	}
}

func TestASharedServerKeepsWhatItAcknowledged(t *testing.T) {
	c := redis.NewClient(&redis.Options{Addr: Redis(t)})
	t.Cleanup(func() { _ = c.Close() })
	for name, want := range map[string]string{"appendonly": "yes", "maxmemory-policy": "noeviction"} {
		got, err := c.ConfigGet(t.Context(), name).Result()
		if err != nil || got[name] != want {
			t.Errorf("%s: got %v, %v, want %s", name, got, err, want)
		}
	}
}
