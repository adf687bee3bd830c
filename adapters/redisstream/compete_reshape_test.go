package redisstream

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// recreate replaces a topic by an empty one of n partitions, in one step for whoever reads it.
func recreate(t *testing.T, raw *redis.Client, topic string, from, n int) {
	t.Helper()
	tx := raw.TxPipeline()
	tx.Del(t.Context(), topic, topicKey(topic))
	for p := range from {
		tx.Del(t.Context(), streamKey(topic, p, from))
	}
	tx.Eval(t.Context(), createTopicScript, []string{topicKey(topic), topic}, n, 0, 0)
	_, err := tx.Exec(t.Context())
	must(t, err)
}

// TestATopicThatIsMadeAgainIsConsumedAfterAFault has the member be refused one of the new partitions for a while.
func TestATopicThatIsMadeAgainIsConsumedAfterAFault(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t, testenv.RedisOptions{})
	raw := r.Client()
	set := func(rules ...any) {
		t.Helper()
		must(t, raw.Do(t.Context(), append([]any{"acl", "setuser", "app", "on", ">secret", "+@all", "resetkeys"}, rules...)...).Err())
	}
	set("~t", "~ds:*", "~{t:0}", "~{t:1}")
	admin := open(t, Config{Connection: Connection{Addr: r.Addr()}})
	must(t, admin.CreateTopic(t.Context(), durable.TopicSpec{Name: "t", Partitions: 2}))
	b := open(t, Config{Connection: Connection{Addr: r.Addr(), Username: "app", Password: "secret"}})
	c := join(t, b, competing("t", "m"))
	recreate(t, raw, "t", 2, 3)
	_, err := c.Fetch(soon(t), 1)
	isDenied(t, "fetch", err)
	isDenied(t, "health", b.Health(t.Context()))
	must(t, c.SetTopics(t.Context(), durable.TopicStart{Topic: "t"})) // which has it already
	set("~*")
	store(t, open(t, Config{Connection: Connection{Addr: r.Addr()}}), "t", 0, 30)
	goOn(t, c, 0, 30)
	if got := c.(durable.Pauser).Claims(); got != 3 {
		t.Errorf("got %d claims, want one of each partition", got)
	}
}

// TestATopicOfOnePartitionThatIsMadeAgainWithMoreIsConsumed looks at another topic of the member, too.
func TestATopicOfOnePartitionThatIsMadeAgainWithMoreIsConsumed(t *testing.T) {
	t.Parallel()
	addr, topic, other := testenv.Redis(t), testenv.Name(t, "t"), testenv.Name(t, "u")
	g := competing(topic, "m")
	g.Topics = durable.Topics(topic, other)
	c := join(t, open(t, Config{Connection: Connection{Addr: addr}}), g)
	recreate(t, client(t, addr), topic, 1, 3)
	b := open(t, Config{Connection: Connection{Addr: addr}})
	store(t, b, topic, 0, 30)
	store(t, b, other, 30, 40)
	goOn(t, c, 0, 40)
}
