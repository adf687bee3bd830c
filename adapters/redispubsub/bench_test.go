package redispubsub

import (
	"strconv"
	"testing"

	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

func BenchmarkNotify(b *testing.B) {
	backend, channel := open(b, testenv.Redis(b)), unique(b)
	for _, size := range []int{1, 100} {
		ns := make([]realtime.Notification, size)
		for i := range ns {
			ns[i] = realtime.Notification{Channel: channel, ID: "01J0000000000000000000000", Type: "order.created", SourceType: "order", SourceID: "42"}
		}
		ctx := b.Context()
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := backend.Notify(ctx, ns...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		n := realtime.Notification{Channel: channel, ID: "01J0000000000000000000000", Type: "order.created", SourceType: "order", SourceID: "42"}
		ctx := b.Context()
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := backend.Notify(ctx, n); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

func BenchmarkNext(b *testing.B) {
	backend, channel := open(b, testenv.Redis(b)), unique(b)
	s := subscribe(b, backend, channel)
	const batch = 500 // fits the buffer, so nothing is dropped
	ns := make([]realtime.Notification, batch)
	for i := range ns {
		ns[i] = realtime.Notification{Channel: channel, ID: "01J0000000000000000000000", Type: "order.created", SourceType: "order", SourceID: "42"}
	}
	ctx := b.Context()
	b.ReportAllocs()
	left := 0
	for b.Loop() {
		if left == 0 {
			if err := backend.Notify(ctx, ns...); err != nil {
				b.Fatal(err)
			}
			left = batch
		}
		if _, err := s.Next(ctx); err != nil {
			b.Fatal(err)
		}
		left--
	}
}
