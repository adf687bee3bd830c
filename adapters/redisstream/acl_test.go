package redisstream

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// TestWhatAnAccessRuleForbidsIsSaidInWords has users who may read and not write, and the reverse.
func TestWhatAnAccessRuleForbidsIsSaidInWords(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{Password: "root"})
	admin := r.Client()
	as := func(user string, rules ...any) *Backend {
		args := append([]any{"acl", "setuser", user, "on", ">secret", "~*", "+ping", "+info", "+config|get"}, rules...)
		must(t, admin.Do(t.Context(), args...).Err())
		return open(t, Config{Connection: Connection{Addr: r.Addr(), Username: user, Password: "secret"}})
	}
	reader := as("reader", "+@read")
	writer := as("writer", "+xadd", "+hmget")
	store(t, writer, "t", 0, 1)
	said := func(what string, err error, words ...string) {
		t.Helper()
		for _, w := range append(words, "NOPERM", "ACL SETUSER", `"username"`) {
			if !strings.Contains(fmt.Sprint(err), w) {
				t.Errorf("%s: got %v, want %q in it", what, err, w)
			}
		}
		isDenied(t, what, err)
	}
	if got, err := replayed(t, reader, "t", durable.Range{}); err != nil || len(got) != 1 {
		t.Errorf("reader replays: got %v, %v, want one record", got, err)
	}
	_, err := reader.Append(soon(t), "t", event(1))
	var batch *durable.BatchError
	if !errors.As(err, &batch) || batch.Outcomes[0].Status != durable.Rejected {
		t.Errorf("reader appends: got %v, want rejected", err)
	}
	said("reader appends", err, "xadd")
	_, err = reader.Consume(soon(t), competing("t", "m"))
	said("reader consumes", err)
	_, err = replayed(t, writer, "t", durable.Range{})
	said("writer replays", err)
	_, err = writer.Consume(soon(t), competing("t", "m"))
	said("writer consumes", err)
	_, err = writer.Lag(soon(t), "g", "t")
	said("writer asks for the lag", err)
}

func TestAUserWhoMayNotPingIsRefusedAtOpen(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{Password: "root"})
	must(t, r.Client().Do(t.Context(), "acl", "setuser", "none", "on", ">secret", "~*").Err())
	_, err := Open(soon(t), Config{Connection: Connection{Addr: r.Addr(), Username: "none", Password: "secret"}})
	if err == nil || !strings.Contains(err.Error(), `"username"`) || !strings.Contains(err.Error(), "ACL SETUSER") {
		t.Errorf("got %v, want the setting and the remedy", err)
	}
}

// isDenied checks that err is for an administrator and not taken for what passes by itself.
func isDenied(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, durable.ErrDenied) || errors.Is(err, durable.ErrUnavailable) {
		t.Errorf("%s: got %v, want ErrDenied alone", what, err)
	}
}

// TestAMemberWhoseRightIsTakenSaysSoAndGoesOnWhenItIsBack takes from a member what it reads with, and gives it back.
func TestAMemberWhoseRightIsTakenSaysSoAndGoesOnWhenItIsBack(t *testing.T) {
	for name, ordering := range map[string]durable.Ordering{"competing": durable.None, "per key": durable.PerKey} {
		t.Run(name, func(t *testing.T) {
			r := testenv.StartRedis(t, testenv.RedisOptions{Password: "root"})
			set := func(rules ...any) {
				t.Helper()
				must(t, r.Client().Do(t.Context(), append([]any{"acl", "setuser", "app"}, rules...)...).Err())
			}
			set("on", ">secret", "~*", "+@all")
			b := open(t, Config{Connection: Connection{Addr: r.Addr(), Username: "app", Password: "secret"}, LeaseTTL: time.Second})
			c, err := b.Consume(soon(t), durable.Group{Name: "g", Topics: durable.Topics("t"), Ordering: ordering})
			must(t, err)
			defer func() { must(t, c.Close(soon(t))) }()
			store(t, b, "t", 0, 1)
			must(t, c.Ack(soon(t), fetch(t, c, 1)...))
			set("-@all", "+ping", "+info", "+config|get")
			for err == nil { // what it had read already comes first
				_, err = c.Fetch(soon(t), 1)
			}
			isDenied(t, "fetch", err)
			testenv.Await(t, 20*time.Second, func() bool { err = b.Health(t.Context()); return err != nil }, "the denial is known")
			isDenied(t, "health", err)
			set("+@all")
			store(t, b, "t", 1, 2)
			testenv.Await(t, 20*time.Second, func() bool {
				ds, err := c.Fetch(soon(t), 1)
				return err == nil && len(ds) == 1 && c.Ack(soon(t), ds...) == nil
			}, "the member goes on")
			testenv.Await(t, 20*time.Second, func() bool { return b.Health(t.Context()) == nil }, "healthy again")
		})
	}
}

// TestAUserWhoIsNotLetInAnyMoreIsDenied changes the password of a user and cuts its connections.
func TestAUserWhoIsNotLetInAnyMoreIsDenied(t *testing.T) {
	cluster := testenv.StartRedisCluster(t)
	single := testenv.StartRedis(t, testenv.RedisOptions{Password: "root"})
	for name, at := range map[string]struct {
		connection Connection
		servers    []*testenv.RedisServer
	}{
		"one server": {Connection{Addr: single.Addr()}, []*testenv.RedisServer{single}},
		"a cluster":  {onCluster(cluster), cluster.Nodes()},
	} {
		t.Run(name, func(t *testing.T) {
			set := func(rules ...any) {
				t.Helper()
				for _, s := range at.servers {
					must(t, s.Client().Do(t.Context(), append([]any{"acl", "setuser", "app"}, rules...)...).Err())
				}
			}
			set("on", ">secret", "~*", "+@all")
			at.connection.Username, at.connection.Password = "app", "secret"
			b := open(t, Config{Connection: at.connection})
			store(t, b, "t", 0, 1)
			set("resetpass", ">other")
			for _, s := range at.servers {
				must(t, s.Client().Do(t.Context(), "client", "kill", "user", "app").Err())
			}
			var err error
			testenv.Await(t, 20*time.Second, func() bool {
				_, err = b.Append(soon(t), "t", event(1))
				return err != nil && !errors.Is(err, durable.ErrUnavailable) // the end of the connection may be seen first
			}, "an append is refused")
			isDenied(t, "append", err)
			var batch *durable.BatchError
			if !errors.As(err, &batch) || batch.Outcomes[0].Status != durable.NotSent {
				t.Errorf("got %v, want not sent", err)
			}
			_, err = replayed(t, b, "t", durable.Range{})
			isDenied(t, "replay", err)
			isDenied(t, "health", b.Health(t.Context()))
			set(">secret")
			testenv.Await(t, 20*time.Second, func() bool { _, err := b.Append(soon(t), "t", event(2)); return err == nil }, "let in again")
		})
	}
}
