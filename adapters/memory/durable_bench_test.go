package memory_test

import (
	"strconv"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

func benchBatch(n int) []*message.Message {
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = message.NewMessage(strconv.Itoa(i), make([]byte, 256))
		for k := range 5 {
			msgs[i].Metadata.Set("key"+strconv.Itoa(k), "value")
		}
		msgs[i].Metadata.Set(durable.MetaPartitionKey, "k"+strconv.Itoa(i%50))
	}
	return msgs
}

// One operation is one event of 256 bytes with six metadata entries.
func BenchmarkAppendBatchOf100(b *testing.B) {
	backend := newBackend(b, memory.Config{MaxLen: 20_000})
	msgs := benchBatch(100)
	b.ReportAllocs()
	for n := 0; n < b.N; n += len(msgs) {
		if _, err := backend.Append(b.Context(), "bench", msgs...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// One operation is one event, fetched 500 at a time and acknowledged; appending is not measured.
func BenchmarkFetchAndAck(b *testing.B) {
	const chunk = 20_000
	backend := newBackend(b, memory.Config{MaxLen: chunk})
	c, err := backend.Consume(b.Context(), durable.Group{Name: "g", Topics: durable.Topics("bench")})
	if err != nil {
		b.Fatal(err)
	}
	msgs := benchBatch(chunk)
	stored := 0
	b.ReportAllocs()
	for n := 0; n < b.N; {
		if stored == 0 {
			b.StopTimer()
			if _, err := backend.Append(b.Context(), "bench", msgs...); err != nil {
				b.Fatal(err)
			}
			stored = chunk
			b.StartTimer()
		}
		ds, err := c.Fetch(b.Context(), 500)
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Ack(b.Context(), ds...); err != nil {
			b.Fatal(err)
		}
		n += len(ds)
		stored -= len(ds)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
