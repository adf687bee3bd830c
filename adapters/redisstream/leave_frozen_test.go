package redisstream

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// TestAMemberThatLeavesBesideAMasterThatStandsStillHandsOverOnTheOthers looks at the partition whose master serves, which
// has never seen the script of a member that leaves.
func TestAMemberThatLeavesBesideAMasterThatStandsStillHandsOverOnTheOthers(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisClusterWith(t, testenv.ClusterOptions{
		Redis: testenv.RedisOptions{Settings: []string{"--cluster-require-full-coverage", "no"}},
	})
	conn := onCluster(c)
	conn.Timeout = 4 * time.Second // a machine may stand still for less
	b := open(t, Config{Connection: conn, LeaseTTL: time.Minute})
	handedOver := map[durable.Ordering]func(raw *redis.Client, at place) bool{
		durable.None: func(raw *redis.Client, at place) bool {
			page := raw.XPendingExt(t.Context(), &redis.XPendingExtArgs{Stream: at.key, Group: "g", Start: "-", End: "+", Count: 1}).Val()
			return len(page) == 1 && page[0].Idle > defaultClaimIdle
		},
		durable.PerKey: func(raw *redis.Client, at place) bool {
			n, err := raw.Exists(t.Context(), at.leaseKey("g")).Result()
			return err == nil && n == 0
		},
	}
	var members []durable.Consumer
	serving := map[durable.Ordering]place{}
	servers := map[durable.Ordering]*redis.Client{}
	for ordering := range handedOver {
		topic := apart(t, c, 2)
		at := newPlace(topic, 1, 2)
		serving[ordering], servers[ordering] = at, c.Master(at.key).Client()
		must(t, b.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 2}))
		member := join(t, b, durable.Group{Name: "g", Member: "m", Topics: durable.Topics(topic), Ordering: ordering})
		msgs := make([]*message.Message, 20)
		for i := range msgs {
			msgs[i] = event(i)
			msgs[i].Metadata[durable.MetaPartitionKey] = msgs[i].UUID
		}
		_, err := b.Append(soon(t), topic, msgs...)
		must(t, err)
		fetch(t, member, len(msgs))
		members = append(members, member)
	}
	frozen := c.Nodes()[0] // of every partition 0, see apart
	frozen.Freeze()
	defer frozen.Thaw()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	for _, member := range members {
		_ = member.Close(ctx) // which goes on behind
	}
	for ordering, done := range handedOver {
		testenv.Await(t, time.Minute, func() bool { return done(servers[ordering], serving[ordering]) }, "what can be handed over is")
	}
	frozen.Thaw()
}
