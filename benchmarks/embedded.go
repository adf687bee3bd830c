package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

const (
	embeddedRate          = 200_000 // events a second for which topics to consume from are filled
	embeddedRateWatermill = 50_000
	embeddedMaxLen        = 20_000 // records a partition keeps while the append is measured
)

// memoryPaths measure the embedded backend on one core. Nothing raw does its work; Watermill's is its GoChannel.
func memoryPaths() []path {
	return []path{
		{name: "memory-append", noRaw: true, goal: goal{rate: 1e6}, subjects: []subject{
			onOneCore(appending(subjectOurs, oursMemory, batches(100))),
			onOneCore(appending(subjectWatermill, watermillMemory, batches(100))),
		}},
		{name: "memory-consume", noRaw: true, goal: goal{rate: 5e5}, subjects: []subject{
			onOneCore(subject{subjectOurs, oursMemoryConsumer}),
			onOneCore(subject{subjectWatermill, watermillMemoryConsumer}),
		}},
	}
}

// onOneCore runs the turns of s with one core for all goroutines.
func onOneCore(s subject) subject {
	return subject{s.name, func(ctx context.Context, l *lab) (turn, error) {
		t, err := s.setup(ctx, l)
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			return t(ctx, dur)
		}, err
	}}
}

// embedded is the embedded backend as a store.
type embedded struct {
	*memory.Backend
	l *lab
}

func openMemory(l *lab, maxLen int64) (embedded, error) {
	b, err := memory.New(memory.Config{MaxLen: maxLen})
	if err != nil {
		return embedded{}, err
	}
	l.after(func() error { return b.Close(context.Background()) })
	return embedded{b, l}, nil
}

func oursMemory(_ context.Context, l *lab) (store, appendFunc, error) {
	b, err := openMemory(l, embeddedMaxLen)
	if err != nil {
		return nil, nil, err
	}
	return b, oursAppend(b, newPool()), nil
}

// appended implements store; it compares the sum of the newest offsets, because the oldest records are trimmed.
func (e embedded) appended(ctx context.Context, work func(string) (sample, error)) (sample, error) {
	topic := e.l.name("append")
	s, err := work(topic)
	if err != nil {
		return s, err
	}
	info, err := e.DescribeTopic(ctx, topic)
	if err != nil {
		return s, err
	}
	var stored int64
	for _, p := range info.Partitions {
		offset, err := memoryOffset(p.Newest)
		if err != nil {
			return s, err
		}
		stored += offset + 1
	}
	if stored != s.events {
		return s, fmt.Errorf("the offsets add up to %d after %d appended events", stored, s.events)
	}
	return s, e.DeleteTopic(ctx, topic)
}

// memoryOffset is the offset in a position, which is written partition:offset@incarnation.
func memoryOffset(p durable.Position) (int64, error) {
	place, _, _ := strings.Cut(string(p), "@")
	_, offset, _ := strings.Cut(place, ":")
	return strconv.ParseInt(offset, 10, 64)
}

// oursMemoryConsumer fills a topic and processes it.
func oursMemoryConsumer(_ context.Context, l *lab) (turn, error) { return memoryConsumer(l, processed) }

// memoryConsumer fills a topic of the embedded backend and has it consumed.
func memoryConsumer(l *lab, consume func(context.Context, durable.Backend, durable.Group, int64) (sample, error)) (turn, error) {
	b, err := openMemory(l, 0)
	if err != nil {
		return nil, err
	}
	add := oursAppend(b, newPool())
	return func(ctx context.Context, dur time.Duration) (sample, error) {
		n, topic := eventsFor(dur, embeddedRate), l.name("consume")
		for done := int64(0); done < n; done += 1000 {
			if err := add(ctx, topic, done, 1000); err != nil {
				return sample{}, err
			}
		}
		runtime.GC()
		s, err := consume(ctx, b, durable.Group{Name: topic, Topics: durable.Topics(topic)}, n)
		if err != nil {
			return s, err
		}
		lags, err := b.Lag(ctx, topic, topic)
		for _, lag := range lags {
			if lag.Lag != 0 {
				err = errors.Join(err, fmt.Errorf("partition %d has a lag of %d", lag.Partition, lag.Lag))
			}
		}
		return s, errors.Join(err, b.DeleteTopic(ctx, topic))
	}, nil
}

// goChannels counts what was published, because a GoChannel does not tell what it holds.
type goChannels struct{ l *lab }

func (g goChannels) appended(_ context.Context, work func(string) (sample, error)) (sample, error) {
	return work(g.l.name("append"))
}

// watermillMemory publishes to a persistent GoChannel; it takes a new one for every 100,000 messages, because none
// of them is ever forgotten.
func watermillMemory(_ context.Context, l *lab) (store, appendFunc, error) {
	pub := newGoChannel()
	messages := newPool()
	return goChannels{l}, func(ctx context.Context, topic string, done int64, n int) error {
		if done%100_000 == 0 {
			pub = newGoChannel()
		}
		return watermillAppend(pub, messages)(ctx, topic, done, n)
	}, nil
}

func newGoChannel() *gochannel.GoChannel {
	return gochannel.NewGoChannel(gochannel.Config{Persistent: true}, nil)
}

// watermillMemoryConsumer fills a GoChannel and subscribes to it.
func watermillMemoryConsumer(_ context.Context, l *lab) (turn, error) {
	p := newPool()
	return func(ctx context.Context, dur time.Duration) (s sample, err error) {
		n, ch := eventsFor(dur, embeddedRateWatermill), newGoChannel()
		defer func() { err = errors.Join(err, ch.Close()) }()
		for done := int64(0); done < n; done += 1000 {
			if err := ch.Publish("consume", window(p.messages, done, 1000)...); err != nil {
				return s, err
			}
		}
		messages, err := ch.Subscribe(ctx, "consume")
		if err != nil {
			return s, err
		}
		return drained(ctx, messages, n, func() error { return nil })
	}, nil
}
