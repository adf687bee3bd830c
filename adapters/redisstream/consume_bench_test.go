package redisstream

import (
	"fmt"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

const inBenchmark = 50_000 // entries of one run

func fill(b *testing.B, backend *Backend) string {
	topic := testenv.Name(b, "t")
	msgs := make([]*message.Message, 1000)
	for i := range msgs {
		msgs[i] = event(i)
	}
	for range inBenchmark / len(msgs) {
		if _, err := backend.Append(b.Context(), topic, msgs...); err != nil {
			b.Fatal(err)
		}
	}
	return topic
}

func BenchmarkConsume(b *testing.B) {
	for name, ordering := range map[string]durable.Ordering{"ordered": durable.PerKey, "competing": durable.None} {
		b.Run(name, func(b *testing.B) {
			backend := open(b, Config{Connection: Connection{Addr: testenv.Redis(b)}})
			topic := fill(b, backend)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c := join(b, backend, durable.Group{Name: fmt.Sprint("g", i), Topics: durable.Topics(topic), Ordering: ordering})
				for n := 0; n < inBenchmark; {
					ds, err := c.Fetch(b.Context(), readCount)
					if err != nil {
						b.Fatal(err)
					}
					if err := c.Ack(b.Context(), ds...); err != nil {
						b.Fatal(err)
					}
					n += len(ds)
				}
				b.StopTimer() // leaving waits for the read in flight
				if err := c.Close(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(inBenchmark*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func BenchmarkRawReadGroup(b *testing.B) {
	addr := testenv.Redis(b)
	topic := fill(b, open(b, Config{Connection: Connection{Addr: addr}}))
	raw := client(b, addr)
	for i := 0; b.Loop(); i++ {
		group := fmt.Sprint("raw", i)
		if err := raw.XGroupCreate(b.Context(), topic, group, "0").Err(); err != nil {
			b.Fatal(err)
		}
		for n := 0; n < inBenchmark; {
			streams, err := raw.XReadGroup(b.Context(), &redis.XReadGroupArgs{Group: group, Consumer: "c", Streams: []string{topic, ">"}, Count: readCount}).Result()
			if err != nil {
				b.Fatal(err)
			}
			var ids []string
			for _, m := range streams[0].Messages {
				ids = append(ids, m.ID)
			}
			if err := raw.XAck(b.Context(), topic, group, ids...).Err(); err != nil {
				b.Fatal(err)
			}
			n += len(ids)
		}
	}
	b.ReportMetric(float64(inBenchmark*b.N)/b.Elapsed().Seconds(), "events/s")
}
