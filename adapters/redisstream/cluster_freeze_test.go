package redisstream

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// apart is the name of a topic whose first two partitions are on different masters.
func apart(t *testing.T, c *testenv.Cluster) string {
	t.Helper()
	for {
		topic := testenv.Name(t, "t")
		if c.Master(streamKey(topic, 0, 2)) != c.Master(streamKey(topic, 1, 2)) {
			return topic
		}
	}
}

// frozenAppends appends to a frozen partition by many callers, over and over: each is told within its time, and nothing
// of it stays behind.
func frozenAppends(t *testing.T, b *Backend, topic string, h *durabletest.History) {
	t.Helper()
	key := "frozen"
	for durable.Partition(key, 2) != 0 {
		key += "!"
	}
	before := runtime.NumGoroutine()
	for round := range 3 {
		var callers sync.WaitGroup
		for i := range 50 {
			callers.Go(func() {
				m := message.NewMessage(fmt.Sprintf("%s-%d-%d", key, round, i), nil)
				m.Metadata = message.Metadata{durable.MetaPartitionKey: key}
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				_, err := b.Append(ctx, topic, m)
				var batch *durable.BatchError
				if !errors.As(err, &batch) || !errors.Is(err, durable.ErrUnavailable) {
					t.Errorf("got %v, want a BatchError of ErrUnavailable", err)
					return
				}
				if batch.Outcomes[0].Status == durable.Unknown {
					h.Uncertain(m.UUID)
				}
			})
		}
		callers.Wait()
	}
	testenv.Await(t, time.Minute, func() bool { return runtime.NumGoroutine() < before+50 }, "the callers leave no goroutines behind")
}

// TestAMasterThatStandsStillUnderLoadFailsAppendsInTime freezes the master of one of two partitions, whose cluster has
// nobody to follow it. The other partition goes on, and after the thaw both do.
func TestAMasterThatStandsStillUnderLoadFailsAppendsInTime(t *testing.T) {
	c := testenv.StartRedisClusterWith(t, testenv.ClusterOptions{
		Redis: testenv.RedisOptions{Settings: []string{"--cluster-require-full-coverage", "no"}},
	})
	conn := onCluster(c)
	conn.Timeout, conn.DialTimeout = time.Second, time.Second
	for name, ordering := range map[string]durable.Ordering{"competing": durable.None, "ordered": durable.PerKey} {
		t.Run(name, func(t *testing.T) {
			topic := apart(t, c)
			l := newLoad(t, Config{Connection: conn, AppendTimeout: time.Second, LeaseTTL: 4 * time.Second}, topic, 2, ordering)
			l.more(100)
			frozen := c.Master(streamKey(topic, 0, 2))
			frozen.Freeze()
			frozenAppends(t, l.b, topic, &l.history)
			l.more(50)
			frozen.Thaw()
			l.more(200)
			l.judge(durabletest.Promise{Ordered: ordering == durable.PerKey, Exclusive: ordering == durable.PerKey})
		})
	}
}

// TestAMasterThatStandsStillIsFollowedByItsReplica goes on before the thaw.
func TestAMasterThatStandsStillIsFollowedByItsReplica(t *testing.T) {
	c := testenv.StartRedisClusterWith(t, testenv.ClusterOptions{Replicas: true})
	conn := onCluster(c)
	conn.Timeout, conn.DialTimeout = 2*time.Second, time.Second
	topic := apart(t, c)
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
