package redisstream

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// logged is a log to look at while it is written.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

var _ io.Writer = (*logged)(nil)

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func TestAGroupThatVanishesIsMadeAgainAndToldOnce(t *testing.T) {
	for name, loss := range map[string]func(t *testing.T, r *testenv.RedisServer, topic string){
		"flushed": func(t *testing.T, r *testenv.RedisServer, _ string) { must(t, r.Client().FlushAll(t.Context()).Err()) },
		"group deleted": func(t *testing.T, r *testenv.RedisServer, topic string) {
			must(t, r.Client().XGroupDestroy(t.Context(), topic, "g").Err())
		},
		"stream deleted": func(t *testing.T, r *testenv.RedisServer, topic string) {
			must(t, r.Client().Del(t.Context(), topic, streamKey(topic, 0, 2), streamKey(topic, 1, 2)).Err())
		},
		"restarted empty": func(_ *testing.T, r *testenv.RedisServer, _ string) { r.Kill(); r.Restart() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, log := testenv.StartRedis(t, testenv.RedisOptions{AppendOnly: "no"}), new(logged)
			b := open(t, Config{Connection: Connection{Addr: r.Addr()}, Logger: slog.New(slog.NewTextHandler(log, nil))})
			parts := 1
			if name != "group deleted" {
				parts = 2
			}
			must(t, b.CreateTopic(t.Context(), durable.TopicSpec{Name: "t", Partitions: parts}))
			c := join(t, b, competing("t", "m"))
			for i := range 3 {
				store(t, b, "t", 10*i, 10*i+10)
				must(t, c.Ack(t.Context(), fetch(t, c, 10)...))
				testenv.Await(t, time.Minute, func() bool {
					lag, err := b.Lag(t.Context(), "g", "t")
					return err == nil && !slices.ContainsFunc(lag, func(l durable.PartitionLag) bool { return l.Pending != 0 })
				}, "it is acknowledged")
				before := log.count("vanished")
				loss(t, r, "t")
				testenv.Await(t, time.Minute, func() bool {
					_, err := b.Lag(t.Context(), "g", "t")
					return err == nil && log.count("vanished") > before
				}, "the loss is noticed")
				if name == "group deleted" {
					must(t, c.Ack(t.Context(), fetch(t, c, 10*i+10)...)) // the group begins at the oldest again
				}
			}
			if n := log.count("vanished"); n != 3 {
				t.Errorf("got %d warnings, want one for each loss", n)
			}
			if n, err := b.lookUpPartitions(t.Context(), "t"); err != nil || n != parts {
				t.Errorf("got %d partitions, %v, want %d", n, err, parts)
			}
		})
	}
}

// lookUpPartitions asks the server past the cache.
func (b *Backend) lookUpPartitions(ctx context.Context, topic string) (int, error) {
	n, _, _, err := b.lookUp(ctx, topic)
	return n, err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestATopicThatIsMadeAgainWithOtherPartitionsIsConsumed(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{})
	b := open(t, Config{Connection: Connection{Addr: r.Addr()}})
	must(t, b.CreateTopic(t.Context(), durable.TopicSpec{Name: "t", Partitions: 4}))
	c := join(t, b, competing("t", "m"))
	pipe := r.Client().TxPipeline() // so that nobody makes it as it was
	pipe.FlushAll(t.Context())
	pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: "t", Values: []any{"n", "1"}})
	_, err := pipe.Exec(t.Context())
	must(t, err)
	if d := fetch(t, c, 1)[0]; d.Claim.Partition() != 0 || strings.Contains(string(d.Position), ":") {
		t.Errorf("got %+v, want the entry of the stream of one partition", d)
	}
}

// TestTheShapeOfATopicThatTheServerForgotIsStoredAgain is of a cluster's master that forgets while others do not: the
// number of partitions, and how much of the topic is kept.
func TestTheShapeOfATopicThatTheServerForgotIsStoredAgain(t *testing.T) {
	t.Parallel()
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b, raw := open(t, Config{Connection: Connection{Addr: addr}, ClaimIdle: 3 * time.Second}), client(t, addr)
	must(t, b.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 4, MaxLen: 1000, Retention: time.Hour}))
	join(t, b, competing(topic, "m"))
	if _, err := b.DescribeTopic(t.Context(), topic); err != nil { // so that the shape is known whole
		t.Fatal(err)
	}
	must(t, raw.Del(t.Context(), topicKey(topic), topic).Err())
	other := open(t, Config{Connection: Connection{Addr: addr}})
	testenv.Await(t, 20*time.Second, func() bool {
		_, _ = b.DescribeTopic(t.Context(), topic) // which has nobody forget it
		info, err := other.DescribeTopic(t.Context(), topic)
		return err == nil && len(info.Partitions) == 4
	}, "the topic has its partitions again")
	if got := raw.HMGet(t.Context(), topicKey(topic), fieldLen, fieldRetention).Val(); got[0] != "1000" || got[1] != "3600000" {
		t.Errorf("the server keeps %v of it, want 1000 and an hour", got)
	}
	if got := b.shapes.keeping(topic); got.maxLen != 1000 || got.retention != time.Hour {
		t.Errorf("the backend keeps %+v of it, want 1000 and an hour", got)
	}
}

// TestAGroupMadeAgainHasTheTopicKeepWhatItKept is of a server that forgets everything, whose topic a member makes again.
func TestAGroupMadeAgainHasTheTopicKeepWhatItKept(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t, testenv.RedisOptions{})
	b := open(t, Config{Connection: Connection{Addr: r.Addr()}})
	must(t, b.CreateTopic(t.Context(), durable.TopicSpec{Name: "t", Partitions: 4, MaxLen: 1000}))
	join(t, b, competing("t", "m"))
	must(t, r.Client().FlushAll(t.Context()).Err())
	testenv.Await(t, 20*time.Second, func() bool {
		return r.Client().HGet(t.Context(), topicKey("t"), fieldLen).Val() == "1000"
	}, "the topic keeps what it kept")
}

// TestTheShapeOfATopicThatTheServerForgotTwiceIsStoredAgain is of a master that forgets after a member has made the group
// of a partition of another one again.
func TestTheShapeOfATopicThatTheServerForgotTwiceIsStoredAgain(t *testing.T) {
	t.Parallel()
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b, raw := open(t, Config{Connection: Connection{Addr: addr}}), client(t, addr)
	must(t, b.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 4}))
	must(t, raw.Del(t.Context(), topicKey(topic), topic).Err())
	if n, err := b.partitions(t.Context(), topic); n != 4 || err != nil {
		t.Errorf("got %d partitions, %v, want the 4 that were made", n, err)
	}
	if n := raw.HGet(t.Context(), topicKey(topic), fieldParts).Val(); n != "4" {
		t.Errorf("the server has %q partitions, want 4", n)
	}
}

// TestAMemberFindsPartitionsThatItsTopicGot is of a topic that was made again with more while the member read nothing, so
// that no read tells it.
func TestAMemberFindsPartitionsThatItsTopicGot(t *testing.T) {
	t.Parallel()
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b, raw := open(t, Config{Connection: Connection{Addr: addr}}), client(t, addr)
	b.shows = 500 * time.Millisecond
	must(t, b.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 2}))
	c := join(t, b, competing(topic, "m"))
	must(t, raw.HSet(t.Context(), topicKey(topic), fieldParts, 3).Err())
	must(t, raw.XAdd(t.Context(), &redis.XAddArgs{Stream: streamKey(topic, 2, 3), Values: []any{"n", "1"}}).Err())
	if d := fetch(t, c, 1)[0]; d.Claim.Partition() != 2 {
		t.Errorf("got %+v, want the entry of the added partition", d)
	}
}
