package durable

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
)

// BenchmarkSubscriber is BenchmarkProcess/each with one receiver that acknowledges at once,
// and with messages that are made anew, in 6 allocations each.
func BenchmarkSubscriber(b *testing.B) {
	c := NewClaim(context.Background(), "t", 0, 1)
	batches := make([][]Delivery, 16)
	for i := range batches {
		keys := make([]string, 512)
		for j := range keys {
			keys[j] = "key-" + strconv.Itoa((i*512+j*7)%1000)
		}
		batches[i] = deliveries(c, i*512, keys...)
		for _, d := range batches[i] {
			for k := range 6 {
				d.Message.Metadata.Set("metadata-"+strconv.Itoa(k), "value")
			}
		}
	}
	e := &endless{fake: newFake(AckEach), batches: batches, fresh: true, left: b.N, unacked: b.N, stop: func() {}}
	s, err := NewSubscriber(e, Group{Name: "g"}, ProcessOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	messages, err := s.Subscribe(context.Background(), "t")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		(<-messages).Ack()
	}
	b.StopTimer()
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
