package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

const (
	engineFetch  = 512 // deliveries of one Fetch, as Process asks for
	windowSmall  = 100 // deliveries in flight
	windowLarge  = 10_000
	windowEvents = 500_000 // events a second of which a turn's number is made
)

// enginePaths measure what durable.Process adds. engine-empty: to fetching from the embedded backend and acknowledging
// batch by batch, with a handler that does nothing. engine-window: when 10,000 deliveries are finished out of order
// before the first of them, so that the whole window is kept, compared with 100: what an event costs must not grow with
// the window, beyond what its memory does to caches.
//
// subscriber-redis compares Watermill's interface on the engine with Process.
func enginePaths() []path {
	var entries stock
	return []path{
		{name: "engine-empty", goal: goal{extraNs: 1000, extraAllocs: 3}, subjects: []subject{
			{"fetch alone", fetchAlone}, {subjectOurs, oursMemoryConsumer},
		}},
		{name: "subscriber-redis", goal: goal{atLeast: 0.8}, subjects: []subject{
			entries.consuming("durable.Process", redisRate, oursRedisConsumer),
			entries.consuming(subjectOurs, redisRate, subscribedRedis),
		}},
		{name: "engine-window", goal: goal{extraNs: 1000, extraAllocs: 1}, subjects: []subject{
			{"window of 100", outOfOrder(windowSmall)}, {subjectOurs, outOfOrder(windowLarge)},
		}},
	}
}

// subscribedRedis consumes as oursRedisConsumer does, through a durable.Subscriber with one receiver.
func subscribedRedis(ctx context.Context, l *lab) (source, consumer, error) {
	r, b, err := openRedis(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	return r, func(ctx context.Context, topic, group string, n int64) (s sample, err error) {
		sub, err := durable.NewSubscriber(b, durable.Group{Name: group, Ordering: durable.None}, durable.ProcessOptions{})
		if err != nil {
			return s, err
		}
		defer func() { err = errors.Join(err, sub.Close()) }()
		messages, err := sub.Subscribe(ctx, topic)
		if err != nil {
			return s, err
		}
		return drained(ctx, messages, n, func() error { return nil })
	}, nil
}

// fetchAlone fetches and acknowledges without the engine.
func fetchAlone(_ context.Context, l *lab) (turn, error) {
	return memoryConsumer(l, func(ctx context.Context, b durable.Backend, g durable.Group, n int64) (s sample, err error) {
		c, err := b.Consume(ctx, g)
		if err != nil {
			return s, err
		}
		defer func() { err = errors.Join(err, c.Close(ctx)) }()
		pass := newPassing(n)
		for got := int64(0); got < n; {
			ds, err := c.Fetch(ctx, engineFetch)
			if err != nil {
				return s, err
			}
			last := map[*durable.Claim]durable.Delivery{}
			for _, d := range ds {
				last[d.Claim] = d
				pass.seen()
			}
			for _, d := range last {
				if err := c.Ack(ctx, d); err != nil {
					return s, err
				}
			}
			got += int64(len(ds))
		}
		return pass.sample(), nil
	})
}

// outOfOrder processes deliveries of distinct keys from a backend that has them ready, size in flight: the first of
// each window is finished last.
func outOfOrder(size int) func(context.Context, *lab) (turn, error) {
	return func(context.Context, *lab) (turn, error) {
		ready := readyDeliveries(size)
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			n := int64(dur.Seconds()*windowEvents)/windowLarge*windowLarge + windowLarge
			runtime.GC()
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			b := &readyBackend{ready: ready, left: n}
			pass := newPassing(n)
			first := make(chan struct{}, 1) // the rest of a window is finished
			var others atomic.Int64
			handler := func(msg *message.Message) error {
				if msg == ready[0].Message {
					<-first
				} else if others.Add(1)%int64(size-1) == 0 {
					first <- struct{}{}
				}
				if pass.seen(); pass.got.Load() == n {
					stop()
				}
				return nil
			}
			g := durable.Group{Name: "window", Topics: durable.Topics("window")}
			err := durable.Process(ctx, b, g, handler, durable.ProcessOptions{MaxInFlight: size})
			if err != nil || b.acked.Load() != n {
				return sample{}, errors.Join(err, fmt.Errorf("%d of %d events acknowledged", b.acked.Load(), n))
			}
			return pass.sample(), nil
		}, nil
	}
}

// readyDeliveries are n deliveries of one claim with a key each.
func readyDeliveries(n int) []durable.Delivery {
	claim := durable.NewClaim(context.Background(), "window", 0, 1)
	ds := make([]durable.Delivery, n)
	for i := range ds {
		p := fmt.Sprint(i)
		ds[i] = durable.Delivery{
			Message: message.NewMessage(p, nil), Topic: "window", Position: durable.Position(p), Claim: claim, Key: p, Attempt: 1,
		}
	}
	return ds
}

// readyBackend is a Backend and its Consumer that delivers ready, from the start again after the end, left in all. It
// is acknowledged through, as Kafka is.
type readyBackend struct {
	durable.Backend
	ready []durable.Delivery
	next  int
	left  int64
	acked atomic.Int64
}

func (b *readyBackend) Capabilities() durable.Capabilities {
	return durable.Capabilities{Backend: "ready", Ack: durable.AckThrough, Groups: true}
}

func (b *readyBackend) Consume(context.Context, durable.Group) (durable.Consumer, error) {
	return b, nil
}

func (b *readyBackend) Fetch(ctx context.Context, most int) ([]durable.Delivery, error) {
	if b.left == 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	n := min(most, len(b.ready)-b.next, int(b.left))
	ds := append([]durable.Delivery(nil), b.ready[b.next:b.next+n]...)
	b.next = (b.next + n) % len(b.ready)
	b.left -= int64(n)
	return ds, nil
}

// Ack counts what an acknowledgement finishes: everything since the one before.
func (b *readyBackend) Ack(_ context.Context, ds ...durable.Delivery) error {
	for _, d := range ds {
		place := int64(0)
		for _, c := range d.Position {
			place = place*10 + int64(c-'0')
		}
		size := int64(len(b.ready))
		before := b.acked.Load()
		b.acked.Store(before + 1 + (place-before%size+size)%size)
	}
	return nil
}

func (b *readyBackend) Release(...durable.Delivery) {}

func (b *readyBackend) SetTopics(context.Context, ...durable.TopicStart) error {
	return durable.ErrUnsupported
}

func (b *readyBackend) Close(context.Context) error { return nil }
