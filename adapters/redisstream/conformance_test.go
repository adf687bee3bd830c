package redisstream

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestConformance(t *testing.T) {
	addr := testenv.Redis(t)
	client := client(t, addr)
	durabletest.Run(t, durabletest.Harness{
		New: func(t testing.TB) durable.Backend {
			return open(t, Config{Connection: Connection{Addr: addr}})
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
