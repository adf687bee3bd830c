package durable

import (
	"context"
	"log/slog"
	"strconv"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
)

// endless delivers prebuilt batches again and again, and ends the run when n are acknowledged.
type endless struct {
	*fake
	batches [][]Delivery
	turn    int
	fresh   bool // messages are made for every Fetch
	left    int  // to fetch
	unacked int
	stop    context.CancelFunc
}

func (e *endless) Consume(context.Context, Group) (Consumer, error) { return e, nil }

func (e *endless) Fetch(ctx context.Context, most int) ([]Delivery, error) {
	if e.left <= 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	b := e.batches[e.turn%len(e.batches)]
	e.turn++
	b = b[:min(most, len(b), e.left)]
	e.left -= len(b)
	ds := append([]Delivery(nil), b...)
	for i := range ds {
		if e.fresh {
			ds[i].Message = copyMessage(context.Background(), ds[i].Message)
		}
	}
	return ds, nil
}

func (e *endless) Ack(_ context.Context, ds ...Delivery) error {
	e.unacked -= len(ds)
	if e.unacked <= 0 {
		e.stop()
	}
	return nil
}

func BenchmarkProcess(b *testing.B) {
	for _, mode := range []AckMode{AckEach, AckThrough} {
		for _, n := range []int{1, 2, 16, 100} {
			name := "each/"
			if mode == AckThrough {
				name = "through/"
			}
			b.Run(name+strconv.Itoa(n), func(b *testing.B) { benchmarkProcess(b, mode, n) })
		}
	}
}

func benchmarkProcess(b *testing.B, mode AckMode, concurrency int) {
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
	ctx, cancel := context.WithCancel(context.Background())
	e := &endless{fake: newFake(mode), batches: batches, left: b.N, unacked: b.N, stop: cancel}
	handled := make(chan struct{}, b.N)
	h := func(*message.Message) error { return nil }
	if mode == AckThrough {
		h = func(*message.Message) error {
			handled <- struct{}{}
			if len(handled) == b.N {
				cancel()
			}
			return nil
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	err := Process(ctx, e, Group{Name: "g", Topics: Topics("t")}, h,
		ProcessOptions{Concurrency: concurrency, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
}
