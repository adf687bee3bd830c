package redisstream

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// fakeSentinel names the master that it is told, and leaves the servers and their connections alone. A real one ends
// the connections of a master that it demotes; an operator does not.
func fakeSentinel(t *testing.T) (addr string, name func(master string)) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var master atomic.Value
	var serving sync.WaitGroup
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended); _ = l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				in := bufio.NewScanner(conn)
				for in.Scan() {
					if strings.EqualFold(in.Text(), "hello") {
						fmt.Fprint(conn, "-ERR unknown command\r\n")
					}
					if !strings.EqualFold(in.Text(), "get-master-addr-by-name") {
						continue
					}
					in.Scan()
					in.Scan() // the name
					host, port, _ := net.SplitHostPort(master.Load().(string))
					fmt.Fprintf(conn, "*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(host), host, len(port), port)
				}
			})
		}
	})
	return l.Addr().String(), func(m string) { master.Store(m) }
}

// TestMembersLeaveAMasterThatWasDemoted has connections to the old master live on, and nothing reach it any more.
func TestMembersLeaveAMasterThatWasDemoted(t *testing.T) {
	for name, ordering := range orderings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := testenv.StartRedis(t, testenv.RedisOptions{})
			second := testenv.StartRedis(t, testenv.RedisOptions{ReplicaOf: first})
			sentinel, master := fakeSentinel(t)
			master(first.Addr())
			conn := Connection{Sentinel: Sentinel{Addrs: []string{sentinel}, Master: "m"}}
			b := open(t, Config{Connection: conn, LeaseTTL: 3 * time.Second, ClaimIdle: 3 * time.Second})
			g := competing("t", "m")
			g.Ordering = ordering
			c := join(t, b, g)
			store(t, b, "t", 0, 5)
			old, next := first.Client(), second.Client()
			work(t, c, func() bool {
				lag, err := b.Lag(t.Context(), "g", "t")
				return err == nil && lag[0].Lag == 0 && lag[0].Pending == 0 && offset(t, old) == offset(t, next)
			}, "everything is committed and replicated")
			must(t, next.Do(t.Context(), "replicaof", "no", "one").Err())
			master(second.Addr())
			must(t, old.Do(t.Context(), "replicaof", "127.0.0.1", "1").Err())
			after := open(t, Config{Connection: Connection{Addr: second.Addr()}})
			store(t, after, "t", 5, 10)
			goOn(t, c, 5, 10)
			work(t, c, func() bool {
				lag, err := after.Lag(t.Context(), "g", "t") // whose Lag the server does not replicate under Ordering None
				return err == nil && lag[0].Pending == 0 && (lag[0].Lag == 0 || ordering == durable.None)
			}, "the new master has the acknowledgements")
		})
	}
}

// offset is where the replication of a server has come to.
func offset(t *testing.T, c *redis.Client) string {
	text, err := c.Info(t.Context(), "replication").Result()
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(text) {
		if at, ok := strings.CutPrefix(line, "master_repl_offset:"); ok {
			return at
		}
	}
	return ""
}

// TestMembersGoOnAtAMasterThatDoesNotHaveTheirGroup is of a failover to an empty server: the group begins there at the
// oldest entry. Connections to the old master live on.
func TestMembersGoOnAtAMasterThatDoesNotHaveTheirGroup(t *testing.T) {
	for name, ordering := range orderings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := testenv.StartRedis(t, testenv.RedisOptions{}), testenv.StartRedis(t, testenv.RedisOptions{})
			sentinel, master := fakeSentinel(t)
			master(first.Addr())
			conn := Connection{Sentinel: Sentinel{Addrs: []string{sentinel}, Master: "m"}}
			b := open(t, Config{Connection: conn, LeaseTTL: 2 * time.Second, ClaimIdle: 2 * time.Second})
			g := competing("t", "m")
			g.Ordering = ordering
			c := join(t, b, g)
			store(t, b, "t", 0, 5)
			must(t, c.Ack(t.Context(), fetch(t, c, 5)...))
			after := open(t, Config{Connection: Connection{Addr: second.Addr()}})
			store(t, after, "t", 5, 10)
			master(second.Addr())
			must(t, first.Client().Do(t.Context(), "replicaof", "127.0.0.1", "1").Err())
			goOn(t, c, 5, 10)
		})
	}
}

// TestAGroupThatVanishesAgainAndAgainIsMadeAgainWithPauses has reads reach a server without the group, and what makes it
// another one, until that is demoted.
func TestAGroupThatVanishesAgainAndAgainIsMadeAgainWithPauses(t *testing.T) {
	t.Parallel()
	first, second := testenv.StartRedis(t, testenv.RedisOptions{}), testenv.StartRedis(t, testenv.RedisOptions{})
	sentinel, master := fakeSentinel(t)
	master(first.Addr())
	conn := Connection{Sentinel: Sentinel{Addrs: []string{sentinel}, Master: "m"}}
	c := join(t, open(t, Config{Connection: conn}), competing("t", "m"))
	after := open(t, Config{Connection: Connection{Addr: second.Addr()}})
	store(t, after, "t", 0, 5)
	master(second.Addr())
	old, next := first.Client(), second.Client()
	testenv.Await(t, time.Minute, func() bool { endReads(t, old); return reads(t, next) > 2 }, "the other server is read")
	before, timer := reads(t, next), time.NewTimer(time.Second)
	<-timer.C
	if n := reads(t, next) - before; n > 20 {
		t.Errorf("got %d reads in a second, want pauses between them", n)
	}
	must(t, old.Do(t.Context(), "replicaof", "127.0.0.1", "1").Err())
	goOn(t, c, 0, 5)
}

// goOn fails the test unless c has events from to before to, in any order and beside others.
func goOn(t *testing.T, c durable.Consumer, from, to int) {
	t.Helper()
	missing := map[string]bool{}
	for i := from; i < to; i++ {
		missing[event(i).UUID] = true
	}
	for len(missing) > 0 {
		ds := fetch(t, c, 1)
		delete(missing, ds[0].Message.UUID)
		must(t, c.Ack(t.Context(), ds...))
	}
}

// endReads cuts connections on which a read waits.
func endReads(t *testing.T, c *redis.Client) {
	list, err := c.ClientList(t.Context()).Result()
	must(t, err)
	for line := range strings.Lines(list) {
		if id, _, _ := strings.Cut(line, " "); strings.Contains(line, "cmd=xreadgroup") {
			_ = c.Do(t.Context(), "client", "kill", "id", strings.TrimPrefix(id, "id=")).Err() // it may have gone
		}
	}
}

// reads is how often a server was asked for the entries of a group.
func reads(t *testing.T, c *redis.Client) int {
	stats, err := c.Info(t.Context(), "commandstats").Result()
	must(t, err)
	_, rest, _ := strings.Cut(stats, "cmdstat_xreadgroup:calls=")
	calls, _, _ := strings.Cut(rest, ",")
	n, _ := strconv.Atoi(calls) // none: never
	return n
}

// TestAGroupThatWasMadeAgainWithTheOtherOrderingEndsItsMembers has operators do it who do not look for members.
func TestAGroupThatWasMadeAgainWithTheOtherOrderingEndsItsMembers(t *testing.T) {
	for name, ordering := range orderings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, topic := testenv.Redis(t), testenv.Name(t, "t")
			raw := client(t, addr)
			b := open(t, Config{Connection: Connection{Addr: addr}, LeaseTTL: 2 * time.Second, ClaimIdle: 2 * time.Second})
			b.shows = time.Second
			g := competing(topic, "m")
			g.Ordering = ordering
			c := join(t, b, g)
			store(t, b, topic, 0, 1)
			fetch(t, c, 1)
			p, other := newPlace(topic, 0, 1), orderedMode
			if ordering == durable.PerKey {
				other = competingMode
			}
			pipe := raw.TxPipeline()
			pipe.XGroupDestroy(t.Context(), topic, "g")
			pipe.Del(t.Context(), p.groupKey("g"))
			enrollScript.Eval(t.Context(), pipe, []string{p.key, p.groupKey("g")}, "g", other, beginning)
			_, err := pipe.Exec(t.Context())
			must(t, err)
			awaitOrderingError(t, c)
		})
	}
}

// awaitOrderingError fetches until the membership ends.
func awaitOrderingError(t *testing.T, c durable.Consumer) {
	t.Helper()
	for {
		_, err := c.Fetch(soon(t), 10)
		if err == nil {
			continue
		}
		if !errors.Is(err, ErrOrdering) || !errors.Is(err, durable.ErrUnsupported) {
			t.Errorf("got %v, want ErrOrdering and ErrUnsupported", err)
		}
		return
	}
}
