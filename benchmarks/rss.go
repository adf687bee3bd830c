package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/dualstream/dualstream/durable"
)

const (
	passRate = 500_000   // events for every second of -dur
	passMin  = 1_000_000 // events at least: when a tenth of them has passed, the stream has its full length and the heap its size
	passGrow = 1.25      // how much resident memory may grow from the first tenth of them to the last
)

// rssPaths watch the resident memory of a process through which events are appended and processed at the same time.
// Every turn is a process of its own, so that none begins with the garbage of another.
func rssPaths() []path {
	pass := func(backend string, at func(context.Context, *lab) (place, error)) path {
		return path{name: "rss-" + backend, noRaw: true, goal: goal{grow: passGrow}, subjects: []subject{
			{subjectOurs, passing1M(backend, at)},
		}}
	}
	return []path{pass("memory", passMemory), pass("redis", passRedis), pass("kafka", passKafka)}
}

// place is where events pass through.
type place struct {
	addr  string
	begin func(ctx context.Context, topic string) error
	// check is nil when n events were stored in topic, and group has acknowledged all of them.
	check func(ctx context.Context, topic, group string, n int64) error
}

// passMemory has nothing to check: the process does that before it ends.
func passMemory(context.Context, *lab) (place, error) {
	return place{
		begin: func(context.Context, string) error { return nil },
		check: func(context.Context, string, string, int64) error { return nil },
	}, nil
}

func passRedis(_ context.Context, l *lab) (place, error) {
	r, err := newRedisLab(l)
	if err != nil {
		return place{}, err
	}
	return place{
		addr:  r.Options().Addr,
		begin: func(context.Context, string) error { return nil },
		check: func(ctx context.Context, topic, group string, n int64) error {
			info, err := r.XInfoStream(ctx, topic).Result()
			if err == nil && info.EntriesAdded != n {
				err = fmt.Errorf("%d entries were added to the stream, want %d", info.EntriesAdded, n)
			}
			return errors.Join(err, r.acknowledged(ctx, topic, group), r.Del(ctx, topic).Err())
		},
	}, nil
}

func passKafka(_ context.Context, l *lab) (place, error) {
	c, err := l.kafka()
	if err != nil {
		return place{}, err
	}
	return place{
		addr:  strings.Join(c.brokers, ","),
		begin: func(ctx context.Context, topic string) error { return c.create(ctx, topic) },
		check: func(ctx context.Context, topic, group string, n int64) error {
			stored, err := c.stored(topic)
			if err == nil && stored != n {
				err = fmt.Errorf("the end offsets add up to %d, want %d", stored, n)
			}
			return errors.Join(err, c.acknowledged(ctx, topic, group), c.admin.DeleteTopic(topic))
		},
	}, nil
}

func passing1M(backend string, at func(context.Context, *lab) (place, error)) func(context.Context, *lab) (turn, error) {
	return func(ctx context.Context, l *lab) (turn, error) {
		p, err := at(ctx, l)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			topic, n := l.name("rss"), max(passMin, eventsFor(dur, passRate))
			if err := p.begin(ctx, topic); err != nil {
				return sample{}, err
			}
			s, err := passElsewhere(ctx, passOrder{Backend: backend, Addr: p.addr, Topic: topic, Events: n})
			if err != nil {
				return s, err
			}
			return s, p.check(ctx, topic, topic, n)
		}, nil
	}
}

// passElsewhere has a process of its own carry out order.
func passElsewhere(ctx context.Context, order passOrder) (sample, error) {
	self, err := os.Executable()
	if err != nil {
		return sample{}, err
	}
	in, err := json.Marshal(order)
	if err != nil {
		return sample{}, err
	}
	cmd := exec.CommandContext(ctx, self, passCommand)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return sample{}, fmt.Errorf("process for %d events on %s: %w", order.Events, order.Backend, err)
	}
	var got passed
	if err := json.Unmarshal(out, &got); err != nil {
		return sample{}, fmt.Errorf("process for %d events on %s: %w: %q", order.Events, order.Backend, err, out)
	}
	return sample{events: order.Events, elapsed: got.Elapsed, mallocs: got.Mallocs, rss: got.Memory}, nil
}

// lagging is nil when group has processed all of topic.
func lagging(ctx context.Context, b durable.Backend, group, topic string) error {
	reporter, ok := b.(durable.LagReporter)
	if !ok {
		return fmt.Errorf("%s: %w", b.Capabilities().Backend, durable.ErrUnsupported)
	}
	lags, err := reporter.Lag(ctx, group, topic)
	for _, lag := range lags {
		if lag.Lag != 0 || lag.Pending != 0 {
			err = errors.Join(err, fmt.Errorf("partition %d has a lag of %d and %d pending", lag.Partition, lag.Lag, lag.Pending))
		}
	}
	return err
}
