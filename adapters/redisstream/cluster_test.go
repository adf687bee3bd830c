package redisstream

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// onCluster is a connection to c.
func onCluster(c *testenv.Cluster) Connection {
	return Connection{Cluster: Cluster{Addrs: c.Addrs()}}
}

func TestTheAddressesOfTheCallerAreLeftAsTheyAre(t *testing.T) {
	t.Parallel()
	c := testenv.StartRedisCluster(t)
	room := make([]string, 8)
	copy(room, c.Addrs())
	b := open(t, Config{Connection: Connection{Cluster: Cluster{Addrs: room[:1]}}})
	if err := b.Health(soon(t)); err != nil {
		t.Fatal(err)
	}
	for i, addr := range room[3:] {
		if addr != "" || room[1] != c.Addrs()[1] {
			t.Errorf("got %q behind the addresses at %d, want nothing", addr, i)
		}
	}
}

func TestConformanceOnACluster(t *testing.T) {
	c := testenv.StartRedisCluster(t)
	client := c.Client()
	durabletest.Run(t, durabletest.Harness{
		New: func(t testing.TB) durable.Backend {
			return open(t, Config{Connection: onCluster(c)})
		},
		NewTopic: func(t testing.TB, partitions int) string {
			topic := testenv.Name(t, "t")
			if partitions > 1 {
				if err := client.HSet(t.Context(), topicKey(topic), fieldParts, partitions).Err(); err != nil {
					t.Fatal(err)
				}
			}
			return topic
		},
		Trim: func(t testing.TB, topic string) {
			if err := client.XTrimMaxLen(t.Context(), topic, 5).Err(); err != nil {
				t.Fatal(err)
			}
		},
		Foreign: func(t testing.TB, topic string) {
			if err := client.XAdd(t.Context(), &redis.XAddArgs{Stream: topic, Values: []any{"ticketID", "42"}}).Err(); err != nil {
				t.Fatal(err)
			}
		},
	})
}
