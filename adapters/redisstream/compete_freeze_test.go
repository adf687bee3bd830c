package redisstream

import (
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// TestAMasterThatStandsStillDelaysNoAcksOfOthers acknowledges one by one on a master that serves, while an
// acknowledgement waits for one that does not.
func TestAMasterThatStandsStillDelaysNoAcksOfOthers(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisClusterWith(t, testenv.ClusterOptions{
		Redis: testenv.RedisOptions{Settings: []string{"--cluster-require-full-coverage", "no"}},
	})
	conn := onCluster(c)
	conn.Timeout = 2 * time.Minute // longer than the test waits
	b, topic := open(t, Config{Connection: conn}), apart(t, c, 2)
	must(t, b.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 2}))
	member := join(t, b, competing(topic, "m"))
	msgs := make([]*message.Message, 40)
	for i := range msgs {
		msgs[i] = event(i)
		msgs[i].Metadata[durable.MetaPartitionKey] = msgs[i].UUID
	}
	if _, err := b.Append(soon(t), topic, msgs...); err != nil {
		t.Fatal(err)
	}
	of := map[int][]durable.Delivery{}
	for range msgs {
		d := fetch(t, member, 1)[0]
		of[d.Claim.Partition()] = append(of[d.Claim.Partition()], d)
	}
	frozen, key := c.Master(streamKey(topic, 0, 2)), streamKey(topic, 1, 2)
	serving, stuck := client(t, c.Master(key).Addr()), client(t, frozen.Addr())
	frozen.Freeze()
	defer frozen.Thaw()
	must(t, member.Ack(t.Context(), of[0]...))
	for i, d := range of[1] {
		must(t, member.Ack(t.Context(), d))
		left := int64(len(of[1]) - i - 1)
		testenv.Await(t, 30*time.Second, func() bool { return serving.XPending(t.Context(), key, "g").Val().Count == left }, "the entry is acknowledged")
	}
	frozen.Thaw()
	testenv.Await(t, 30*time.Second, func() bool {
		return stuck.XPending(t.Context(), streamKey(topic, 0, 2), "g").Val().Count == 0
	}, "the others are acknowledged, too")
}
