package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/kafka"
	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
)

const (
	passCommand = "pass" // instead of flags: carries out the order at standard input
	passLen     = 40_000 // records that the stream keeps, where that is for the adapter to say
	passLag     = 8_000  // events that the producer may be ahead of the consumer
	passBatch   = 100    // events of one append
	passLooks   = 200    // how often the memory is looked at
)

// passOrder says which events are to pass through which backend.
type passOrder struct {
	Backend string `json:"backend"` // memory, redis or kafka
	Addr    string `json:"addr"`
	Topic   string `json:"topic"` // and group
	Events  int64  `json:"events"`
}

// passed is what a process found that has carried out an order.
type passed struct {
	Elapsed time.Duration `json:"elapsed_ns"`
	Mallocs uint64        `json:"mallocs"`
	Memory  footprint     `json:"memory"`
}

// carryOut reads an order from in and writes to out what it found.
func carryOut(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	var order passOrder
	if err := json.NewDecoder(in).Decode(&order); err != nil {
		return err
	}
	b, err := order.open(ctx)
	if err != nil {
		return err
	}
	s, err := passThrough(ctx, b, order.Topic, order.Events)
	if err == nil {
		err = until(ctx, 10*time.Second, func() error { return lagging(ctx, b, order.Topic, order.Topic) })
	}
	if err = errors.Join(err, b.Close(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(passed{Elapsed: s.elapsed, Mallocs: s.mallocs, Memory: s.rss})
}

func (o passOrder) open(ctx context.Context) (durable.Backend, error) {
	switch o.Backend {
	case "memory":
		return memory.New(memory.Config{MaxLen: passLen / memory.DefaultPartitions})
	case "redis":
		return redisstream.Open(ctx, redisstream.Config{Connection: redisstream.Connection{Addr: o.Addr}, MaxLen: passLen})
	case "kafka":
		return kafka.Open(ctx, kafka.Config{Brokers: strings.Split(o.Addr, ",")})
	default:
		return nil, fmt.Errorf("unknown backend %q", o.Backend)
	}
}

// passThrough appends n events to topic and processes them in the group of that name, never more than passLag behind.
// Its marks, after a tenth, a quarter and half of them and at the end, are the most memory that was resident while the
// last tenth passed: at one moment it depends on how long ago the last collection was, and longer stretches show more.
func passThrough(ctx context.Context, b durable.Backend, topic string, n int64) (s sample, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	add, pass, ended := oursAppend(b, newPool()), newPassing(n), make(chan error, 1)
	group := durable.Group{Name: topic, Topics: durable.Topics(topic)}
	go func() {
		ended <- durable.Process(ctx, b, group, func(*message.Message) error { pass.seen(); return nil }, durable.ProcessOptions{})
	}()
	var mem footprint
	var most float64
	for done := int64(0); done < n; done += passBatch {
		if done%(n/passLooks) == 0 {
			most = max(most, resident())
		}
		switch done {
		case n / 10, n / 4, n / 2:
			mem.add(done, most)
		}
		switch done + n/10 {
		case n / 4, n / 2, n:
			most = 0
		}
		err := add(ctx, topic, done, passBatch)
		if err == nil && done-pass.got.Load() > passLag {
			err = until(ctx, time.Minute, func() error { return pass.behind(done, passLag/2) })
		}
		if err != nil {
			stop()
			return s, errors.Join(err, <-ended)
		}
	}
	select {
	case <-pass.full:
	case err := <-ended:
		return s, fmt.Errorf("processing ended after %d of %d events: %w", pass.got.Load(), n, errors.Join(err, ctx.Err()))
	}
	mem.add(n, max(most, resident()))
	s = pass.sample()
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
