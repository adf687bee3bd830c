package redisstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// load appends to a topic and consumes it, until it is stopped.
type load struct {
	t        *testing.T
	b        *Backend
	topic    string
	ordering durable.Ordering
	history  durabletest.History
	stop     context.CancelFunc
	ctx      context.Context
	senders  sync.WaitGroup
	work     sync.WaitGroup

	mu     sync.Mutex
	stored int
}

// newLoad makes a topic of n partitions and two members of a group that consume it.
func newLoad(t *testing.T, cfg Config, topic string, n int, ordering durable.Ordering) *load {
	l := &load{t: t, b: openSoon(t, cfg), topic: topic, ordering: ordering}
	must(t, l.b.CreateTopic(soon(t), durable.TopicSpec{Name: topic, Partitions: n}))
	ctx, end := context.WithCancel(context.Background())
	for _, member := range []string{"m1", "m2"} {
		g := durable.Group{Name: "g", Member: member, Topics: durable.Topics(topic), Ordering: ordering}
		b := openSoon(t, cfg)
		l.work.Go(func() {
			if err := process(ctx, b, g, func(m *message.Message) error {
				return l.history.Ran(member, durable.Key(m), m.UUID, func() error { return nil })
			}); err != nil {
				t.Errorf("member %s: %v", member, err)
			}
		})
	}
	t.Cleanup(func() {
		end()
		l.work.Wait()
	})
	l.ctx, l.stop = context.WithCancel(context.Background())
	for k := range 8 {
		l.senders.Go(func() { l.send(fmt.Sprint("k", k)) })
	}
	t.Cleanup(l.end)
	return l
}

// send appends the events of one key one after the other; one that is not known to be stored is appended again.
func (l *load) send(key string) {
	for i := 0; l.ctx.Err() == nil; i++ {
		m := message.NewMessage(fmt.Sprintf("%s-%d", key, i), nil)
		m.Metadata = message.Metadata{durable.MetaPartitionKey: key}
		for {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			_, err := l.b.Append(ctx, l.topic, m)
			cancel()
			if err == nil {
				break
			}
			var batch *durable.BatchError
			if !errors.As(err, &batch) || !errors.Is(err, durable.ErrUnavailable) {
				l.t.Errorf("append: %v", err)
				return
			}
			if batch.Outcomes[0].Status == durable.Unknown {
				l.history.Uncertain(m.UUID)
			}
			if !pauseFor(l.ctx, 20*time.Millisecond) {
				l.history.Uncertain(m.UUID)
				return
			}
		}
		l.history.Appended(key, m.UUID)
		l.mu.Lock()
		l.stored++
		l.mu.Unlock()
		pauseFor(l.ctx, time.Millisecond)
	}
}

func pauseFor(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// count is how many events were stored.
func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stored
}

// more waits until n more events were stored.
func (l *load) more(n int) {
	l.t.Helper()
	from := l.count()
	testenv.Await(l.t, time.Minute, func() bool { return l.count() >= from+n }, "events are stored")
}

func (l *load) end() {
	l.stop()
	l.senders.Wait()
}

// judge ends the appending and holds what was handled against p.
func (l *load) judge(p durabletest.Promise) {
	l.t.Helper()
	l.end()
	testenv.Await(l.t, time.Minute, func() bool { return l.history.Check(durabletest.Promise{}).Err() == nil }, "every event is handled")
	if err := l.history.Check(p).Err(); err != nil {
		l.t.Error(err)
	}
}

// loads have one fault in common.
type loads []*load

func (ls loads) more(n int) {
	for _, l := range ls {
		l.more(n)
	}
}

// judge holds every load against p, and those that compete against what p says beside the order.
func (ls loads) judge(p durabletest.Promise) {
	for _, l := range ls {
		l.t.Helper()
		q := p
		if l.ordering == durable.None {
			q.Ordered, q.Exclusive = false, false
		}
		l.judge(q)
	}
}

// TestSlotsThatMoveUnderLoadLoseNothing moves every partition to another node while it is appended to and consumed.
// Nothing is lost and nothing comes twice.
func TestSlotsThatMoveUnderLoadLoseNothing(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisCluster(t)
	for name, ordering := range orderings() {
		for _, whole := range []bool{false, true} {
			t.Run(fmt.Sprint(name, whole), func(t *testing.T) {
				topic := testenv.Name(t, "t")
				cfg := Config{Connection: onCluster(c), OrderedAppend: whole, LeaseTTL: 30 * time.Second}
				l := newLoad(t, cfg, topic, 3, ordering)
				l.more(100)
				for p := range 3 {
					key := streamKey(topic, p, 3)
					c.Move(key, c.Other(key), func() { pauseFor(t.Context(), 200*time.Millisecond) })
					l.more(50)
				}
				key := topicKey(topic)
				c.Move(key, c.Other(key), nil)
				l.more(50)
				l.judge(durabletest.Promise{Once: true, Ordered: ordering == durable.PerKey, Exclusive: ordering == durable.PerKey})
			})
		}
	}
}

// TestAMasterThatDiesUnderLoadLosesNothingThatItsReplicaHad has the master of a partition of each ordering killed. MinReplicas makes an
// append that only the master has Unknown; it is appended again, by the same id.
func TestAMasterThatDiesUnderLoadLosesNothingThatItsReplicaHad(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisClusterWith(t, testenv.ClusterOptions{Replicas: true})
	conn := onCluster(c)
	conn.Timeout, conn.DialTimeout = 2*time.Second, time.Second
	cfg := Config{Connection: conn, AppendTimeout: 2 * time.Second, MinReplicas: 1}
	ls := loads{
		newLoad(t, cfg, apart(t, c, 3), 3, durable.None),
		newLoad(t, cfg, apart(t, c, 3), 3, durable.PerKey),
	}
	ls.more(200)
	dead := c.Failover(streamKey(ls[0].topic, 0, 3))
	dead.Restart() // as a replica, so that appends are acknowledged again
	ls.more(200)
	ls.judge(broken)
}

func TestTheWrongModeIsSaidAtOpen(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisCluster(t)
	for setting, conn := range map[string]Connection{
		"cluster.addrs": {Addr: c.Addrs()[0]},
		"addr":          {Cluster: Cluster{Addrs: []string{testenv.Redis(t)}}},
	} {
		b, err := Open(soon(t), Config{Connection: conn})
		if err == nil {
			_ = b.Close(soon(t))
		}
		if text := fmt.Sprint(err); err == nil || !strings.Contains(text, fmt.Sprintf("name it in the setting %q", setting)) {
			t.Errorf("got %v, want a hint at %q", err, setting)
		}
	}
}
