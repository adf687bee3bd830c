package grouptests

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
)

const (
	// lease is after how long a member that died is followed, in tests in which one does.
	lease = 10 * time.Second
	// calm is that time in the other tests: a member that stands still for a while, on a machine short of processor
	// time, loses nothing.
	calm = 20 * time.Second
	// answers is how long a server may take, on such a machine.
	answers = 30 * time.Second
)

func TestMain(m *testing.M) {
	testenv.RunHelper(map[string]func(){"member": processMember})
	testenv.SideBySide(6)
	leaktest.Main(m, testenv.Leaks()...)
}

// backend is what all adapters here can do.
type backend interface {
	durable.Backend
	durable.Administrator
	durable.GroupAdministrator
	durable.LagReporter
}

// place is where a group is at work, and how it is ordered.
type place struct {
	kind     string // of connect
	addrs    []string
	store    *memory.Store
	ordering durable.Ordering
	lease    time.Duration         // defaults to calm
	redis    redis.UniversalClient // past the adapter; nil where it is not Redis
}

func (p place) String() string {
	if p.ordering == durable.None {
		return p.kind + " without order"
	}
	return p.kind + " in order"
}

// ordered tells whether the events of a key are handled in order and by one member at a time.
func (p place) ordered() bool { return p.ordering == durable.PerKey }

// open returns another handle, as another process has one.
func (p place) open(t *testing.T) backend {
	t.Helper()
	b, err := connect(t.Context(), p)
	must(t, err)
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

func connect(ctx context.Context, p place) (backend, error) {
	quiet := slog.New(slog.DiscardHandler)
	c := redisstream.Config{LeaseTTL: p.lease, ClaimIdle: p.lease, AppendTimeout: answers, Logger: quiet}
	c.Timeout = answers
	switch p.kind {
	case "memory":
		return memory.New(memory.Config{Store: p.store, Logger: quiet})
	case "kafka":
		return kafka.Open(ctx, kafka.Config{
			Brokers: p.addrs, OpenTimeout: answers, AppendTimeout: answers, SessionTimeout: p.lease,
			CommitInterval: 100 * time.Millisecond, PartitionCheck: 200 * time.Millisecond, Logger: quiet,
		})
	case "cluster":
		c.Cluster.Addrs = p.addrs
	default:
		c.Addr = p.addrs[0]
	}
	return redisstream.Open(ctx, c)
}

// onMemory, onRedis, onCluster and onKafka run test there, under each ordering that there is, side by side.
func onMemory(t *testing.T, test func(t *testing.T, p place)) {
	at(t, place{kind: "memory", store: memory.NewStore()}, test)
}

func onRedis(t *testing.T, test func(t *testing.T, p place)) {
	addr := testenv.Redis(t)
	client := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = client.Close() })
	inBothOrders(t, place{kind: "redis", addrs: []string{addr}, redis: client}, test)
}

func onCluster(t *testing.T, test func(t *testing.T, p place)) {
	inBothOrders(t, place{kind: "cluster"}.own(t), test)
}

// own returns p with servers for it alone.
func (p place) own(t *testing.T) place {
	t.Helper()
	if p.kind == "cluster" {
		c := testenv.StartRedisCluster(t)
		p.addrs, p.redis = c.Addrs(), c.Client()
		return p
	}
	r := testenv.StartRedis(t, testenv.RedisOptions{})
	p.addrs, p.redis = []string{r.Addr()}, r.Client()
	return p
}

func onKafka(t *testing.T, test func(t *testing.T, p place)) {
	at(t, place{kind: "kafka", addrs: testenv.Kafka(t)}, test)
}

func inBothOrders(t *testing.T, p place, test func(t *testing.T, p place)) {
	for _, p.ordering = range []durable.Ordering{durable.PerKey, durable.None} {
		at(t, p, test)
	}
}

func at(t *testing.T, p place, test func(t *testing.T, p place)) {
	t.Run(p.String(), func(t *testing.T) {
		t.Parallel()
		p.lease = calm
		test(t, p)
	})
}

// onEach runs test in every place.
func onEach(t *testing.T, test func(t *testing.T, p place)) {
	onMemory(t, test)
	onRedis(t, test)
	onCluster(t, test)
	onKafka(t, test)
}

// flush removes everything that the servers store, of a cluster last where the shape of topic is: who stored it again
// because of the others has to do so once more.
func (p place) flush(t *testing.T, topic string) {
	t.Helper()
	c, ok := p.redis.(*redis.ClusterClient)
	if !ok {
		must(t, p.redis.FlushAll(t.Context()).Err())
		return
	}
	last, err := c.MasterForKey(t.Context(), "ds:topic:{"+topic+"}")
	must(t, err)
	must(t, c.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
		if node.Options().Addr == last.Options().Addr {
			return nil
		}
		return node.FlushAll(ctx).Err()
	}))
	must(t, last.FlushAll(t.Context()).Err())
}

// deadly is p for a test in which members die, or seem to.
func (p place) deadly() place {
	p.lease = lease
	return p
}

// env tells a process where p is.
func (p place) env() []string {
	return []string{"G_KIND=" + p.kind, "G_ADDRS=" + strings.Join(p.addrs, ","), fmt.Sprintf("G_ORDERING=%d", p.ordering), "G_LEASE=" + p.lease.String()}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
