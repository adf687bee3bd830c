package kafka

import (
	"context"
	"testing"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestConformance(t *testing.T) {
	brokers := testenv.Kafka(t)
	admin := opened(t)
	durabletest.Run(t, durabletest.Harness{
		New: func(t testing.TB) durable.Backend {
			b, err := Open(context.Background(), patient(Config{Brokers: brokers}))
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		NewTopic: func(t testing.TB, partitions int) string { return newTopic(t, admin, partitions) },
		Foreign: func(t testing.TB, topic string) {
			plainly(t, topic, &sarama.ProducerMessage{Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder(bytesOfOthers)})
		},
		Trim: func(t testing.TB, topic string) {
			ps, err := admin.partitions(topic)
			if err != nil {
				t.Fatal(err)
			}
			upTo := map[int32]int64{}
			for _, p := range ps {
				oldest, newest, err := bounds(admin.client, topic, p)
				if err != nil {
					t.Fatal(err)
				}
				upTo[p] = min(oldest+5, newest)
			}
			if err := admin.admin.DeleteRecords(topic, upTo); err != nil {
				t.Fatal(err)
			}
		},
	})
}
