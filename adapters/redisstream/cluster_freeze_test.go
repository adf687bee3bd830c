package redisstream

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// apart is the name of a topic of n partitions, of which the first is on the first master, and the second is not.
func apart(t *testing.T, c *testenv.Cluster, n int) string {
	t.Helper()
	first := func(key string) bool { return int(rediskit.Slot(key)) < 16384/len(c.Nodes()) } // whoever follows it by now
	for {
		topic := testenv.Name(t, "t")
		if first(streamKey(topic, 0, n)) && !first(streamKey(topic, 1, n)) {
			return topic
		}
	}
}

// frozenAppends appends to the first, frozen, partitions of loads by many callers, over and over: each is told within its
// time, and nothing of it stays behind.
func frozenAppends(t *testing.T, ls loads) {
	t.Helper()
	key := "frozen"
	for durable.Partition(key, 2) != 0 {
		key += "!"
	}
	before := goroutinesOf(t)
	for round := range 3 {
		var callers sync.WaitGroup
		for i := range 50 {
			for _, l := range ls {
				callers.Go(func() { l.appendInVain(fmt.Sprintf("%s-%d-%d", key, round, i), key) })
			}
		}
		callers.Wait()
	}
	testenv.Await(t, time.Minute, func() bool { return goroutinesOf(t) < before+50 }, "the callers leave no goroutines behind")
}

// markGoroutines has goroutinesOf count this goroutine, and what it starts from now on.
func markGoroutines(t *testing.T) {
	pprof.SetGoroutineLabels(pprof.WithLabels(t.Context(), pprof.Labels("test", t.Name())))
}

// goroutinesOf is how many goroutines a test has that has marked them, whatever runs beside it.
func goroutinesOf(t *testing.T) (n int) {
	t.Helper()
	var profile strings.Builder
	must(t, pprof.Lookup("goroutine").WriteTo(&profile, 1))
	alike := 0 // goroutines of the entry
	for line := range strings.Lines(profile.String()) {
		if _, err := fmt.Sscanf(line, "%d @", &alike); err != nil && strings.HasPrefix(line, "# labels:") && strings.Contains(line, t.Name()) {
			n += alike
		}
	}
	if n == 0 {
		t.Fatal("no goroutine is marked")
	}
	return n
}

// appendInVain appends an event of a partition that is frozen.
func (l *load) appendInVain(id, key string) {
	m := message.NewMessage(id, nil)
	m.Metadata = message.Metadata{durable.MetaPartitionKey: key}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := l.b.Append(ctx, l.topic, m)
	var batch *durable.BatchError
	if !errors.As(err, &batch) || !errors.Is(err, durable.ErrUnavailable) {
		l.t.Errorf("got %v, want a BatchError of ErrUnavailable", err)
		return
	}
	if batch.Outcomes[0].Status == durable.Unknown {
		l.history.Uncertain(m.UUID)
	}
}

// TestAMasterThatStandsStillUnderLoadFailsAppendsInTime freezes the master of one of two partitions of each ordering,
// whose cluster has nobody to follow it. The other partitions go on, and after the thaw all do.
func TestAMasterThatStandsStillUnderLoadFailsAppendsInTime(t *testing.T) {
	t.Parallel()
	markGoroutines(t)
	c := testenv.StartRedisClusterWith(t, testenv.ClusterOptions{
		Redis: testenv.RedisOptions{Settings: []string{"--cluster-require-full-coverage", "no"}},
	})
	conn := onCluster(c)
	conn.Timeout, conn.DialTimeout = time.Second, time.Second
	cfg := Config{Connection: conn, AppendTimeout: time.Second, LeaseTTL: 4 * time.Second}
	ls := loads{
		newLoad(t, cfg, apart(t, c, 2), 2, durable.None),
		newLoad(t, cfg, apart(t, c, 2), 2, durable.PerKey),
	}
	ls.more(100)
	frozen := c.Master(streamKey(ls[0].topic, 0, 2))
	frozen.Freeze()
	frozenAppends(t, ls)
	ls.more(50)
	frozen.Thaw()
	ls.more(200)
	ls.judge(broken)
}

// TestAMasterThatStandsStillIsFollowedByItsReplica goes on before the thaw.
func TestAMasterThatStandsStillIsFollowedByItsReplica(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisClusterWith(t, testenv.ClusterOptions{Replicas: true})
	conn := onCluster(c)
	conn.Timeout, conn.DialTimeout = 2*time.Second, time.Second
	topic := apart(t, c, 2)
	l := newLoad(t, Config{Connection: conn, AppendTimeout: 2 * time.Second}, topic, 2, durable.PerKey)
	l.more(100)
	key := streamKey(topic, 0, 2)
	frozen := c.Master(key)
	frozen.Freeze()
	c.AwaitFailover(int(rediskit.Slot(key)), frozen)
	l.more(200)
	frozen.Thaw()
	l.more(200)
	l.end()
	testenv.Await(t, time.Minute, func() bool {
		lags, err := l.b.Lag(soon(t), "g", topic)
		return err == nil && len(lags) == 2 && lags[0].Lag == 0 && lags[1].Lag == 0
	}, "everything that is there is handled")
}
