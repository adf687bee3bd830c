package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
)

const (
	passRate = 500_000 // events for every second of -dur: a million for the default
	passLen  = 40_000  // records that the stream keeps
	passLag  = 8_000   // events that the producer may be ahead of the consumer
)

// rssPaths watch the resident memory of this process while events are appended and processed at the same time.
func rssPaths() []path {
	return []path{{name: "rss", noRaw: true, subjects: []subject{
		{subjectOurs + ", memory", passing1M(openPassMemory)},
		{subjectOurs + ", redis", passing1M(openPassRedis)},
	}}}
}

func openPassMemory(_ context.Context, _ *lab) (durable.Backend, error) {
	return memory.New(memory.Config{MaxLen: passLen / memory.DefaultPartitions})
}

func openPassRedis(ctx context.Context, l *lab) (durable.Backend, error) {
	server, err := l.durableRedis()
	if err != nil {
		return nil, err
	}
	return redisstream.Open(ctx, redisstream.Config{Connection: redisstream.Connection{Addr: server.Addr()}, MaxLen: passLen})
}

func passing1M(open func(context.Context, *lab) (durable.Backend, error)) func(context.Context, *lab) (turn, error) {
	return func(ctx context.Context, l *lab) (turn, error) {
		b, err := open(ctx, l)
		if err != nil {
			return nil, err
		}
		l.after(func() error { return b.Close(context.Background()) })
		add := oursAppend(b, newPool())
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			return passThrough(ctx, b, add, l.name("rss"), eventsFor(dur, passRate))
		}, nil
	}
}

// passThrough appends n events to topic and processes them, never more than passLag behind.
func passThrough(ctx context.Context, b durable.Backend, add appendFunc, topic string, n int64) (sample, error) {
	debug.FreeOSMemory() // of what ran before
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pass, ended := newPassing(n), make(chan error, 1)
	group := durable.Group{Name: topic, Topics: durable.Topics(topic)}
	go func() {
		ended <- durable.Process(ctx, b, group, func(*message.Message) error { pass.seen(); return nil }, durable.ProcessOptions{})
	}()
	var mem footprint
	for done := int64(0); done < n; done += 100 {
		err := add(ctx, topic, done, 100)
		if err == nil && done-pass.got.Load() > passLag {
			err = until(ctx, time.Minute, func() error { return pass.behind(done, passLag/2) })
		}
		if err != nil {
			stop()
			return sample{}, errors.Join(err, <-ended)
		}
		if done%10_000 == 0 {
			mem.watch(done >= n/10)
		}
	}
	select {
	case <-pass.full:
	case err := <-ended:
		return sample{}, fmt.Errorf("processing ended after %d of %d events: %w", pass.got.Load(), n, errors.Join(err, ctx.Err()))
	}
	mem.watch(true)
	s := pass.sample()
	s.rss = mem
	stop()
	return s, <-ended
}

// behind is nil when at most most of done events are not seen yet.
func (p *passing) behind(done, most int64) error {
	if lag := done - p.got.Load(); lag > most {
		return fmt.Errorf("the consumer is %d events behind", lag)
	}
	return nil
}
