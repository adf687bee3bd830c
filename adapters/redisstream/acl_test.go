package redisstream

import (
	"errors"
	"fmt"
	"strings"
	"testing"

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
	}
	if got, err := replayed(t, reader, "t", durable.Range{}); err != nil || len(got) != 1 {
		t.Errorf("reader replays: got %v, %v, want one record", got, err)
	}
	_, err := reader.Append(soon(t), "t", event(1))
	var batch *durable.BatchError
	if !errors.As(err, &batch) || batch.Outcomes[0].Status != durable.NotSent {
		t.Errorf("reader appends: got %v, want not sent", err)
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
