package readertests

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.RunHelper(nil)
	testenv.SideBySide(4)
	leaktest.Main(m, testenv.Leaks()...)
}

// answers is how long a server may take, or a member stand still, on a machine that is short of processor time.
const answers = 30 * time.Second

// store is a backend under test, and how its topics are trimmed.
type store struct {
	durable.Backend
	admin durable.Administrator
	trim  func(t *testing.T, topic string, keep int)
}

// onEach runs test on every backend, beside other tests.
func onEach(t *testing.T, test func(t *testing.T, s store)) {
	t.Parallel()
	t.Run("memory", func(t *testing.T) {
		b, err := memory.New(memory.Config{})
		s := opened(t, b, b, err)
		s.trim = func(t *testing.T, topic string, keep int) {
			_, err := b.Trim(t.Context(), topic, durable.Trim{MaxLen: int64(keep), AllowUnread: true})
			must(t, err)
		}
		test(t, s)
	})
	onRedis := func(t *testing.T, c redisstream.Connection) {
		c.Timeout = answers
		b, err := redisstream.Open(t.Context(), redisstream.Config{Connection: c, AppendTimeout: answers, LeaseTTL: answers})
		s := opened(t, b, b, err)
		s.trim = func(t *testing.T, topic string, keep int) {
			_, err := b.Trim(t.Context(), topic, durable.Trim{MaxLen: int64(keep), Exact: true, AllowUnread: true})
			must(t, err)
		}
		test(t, s)
	}
	t.Run("redisstream", func(t *testing.T) { onRedis(t, redisstream.Connection{Addr: testenv.Redis(t)}) })
	t.Run("redisstream on a cluster", func(t *testing.T) {
		onRedis(t, redisstream.Connection{Cluster: redisstream.Cluster{Addrs: testenv.StartRedisCluster(t).Addrs()}})
	})
	t.Run("kafka", func(t *testing.T) {
		b, err := kafka.Open(t.Context(), kafka.Config{Brokers: testenv.Kafka(t), OpenTimeout: answers, AppendTimeout: answers, SessionTimeout: answers})
		s := opened(t, b, b, err)
		s.trim = func(t *testing.T, topic string, keep int) {
			_, err := b.Trim(t.Context(), topic, durable.Trim{MaxLen: int64(keep), Exact: true, AllowUnread: true})
			must(t, err)
		}
		test(t, s)
	})
}

func opened(t *testing.T, b durable.Backend, admin durable.Administrator, err error) store {
	t.Helper()
	must(t, err)
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return store{Backend: b, admin: admin}
}

func (s store) topic(t *testing.T, partitions int) string {
	t.Helper()
	name := testenv.Name(t, "t")
	must(t, s.admin.CreateTopic(t.Context(), durable.TopicSpec{Name: name, Partitions: partitions}))
	return name
}

// put stores events whose id is also their key; what is before the dot is their type.
func (s store) put(t *testing.T, topic string, ids ...string) []durable.Position {
	t.Helper()
	var msgs []*message.Message
	for _, id := range ids {
		msg := message.NewMessage(id, []byte(id))
		msg.Metadata[durable.MetaPartitionKey] = id
		msg.Metadata[durable.MetaType] = id[:len(id)-1]
		msgs = append(msgs, msg)
	}
	ps, err := s.Append(soon(t), topic, msgs...)
	must(t, err)
	return ps
}

func (s store) reader(t *testing.T, o durable.ReaderOptions) *durable.Reader {
	t.Helper()
	r, err := durable.NewReader(soon(t), s.Backend, o)
	must(t, err)
	t.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func subscribe(t *testing.T, r *durable.Reader, o durable.SubscribeOptions) *durable.Subscription {
	t.Helper()
	s, err := r.Subscribe(o)
	must(t, err)
	return s
}

// sees reads as many records as there are ids and compares them; those of one topic in order.
func sees(t *testing.T, s *durable.Subscription, ids ...string) {
	t.Helper()
	var got []string
	for range ids {
		rec, err := s.Next(soon(t))
		if err != nil {
			t.Fatalf("after %q: got %v, want %q", got, err, ids)
		}
		got = append(got, rec.Message.UUID)
	}
	same(t, got, ids)
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
