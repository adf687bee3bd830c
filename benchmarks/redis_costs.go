package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

const (
	idlePartitions = 256
	bufferedEvents = 100_000
)

// costPaths tell what Redis consumers cost besides time: memory of this process with partitions that have nothing, and
// with events that are held (the first and the last of RSS MB), and the part of the server's commands that does not
// read or acknowledge.
func costPaths() []path {
	overhead := func(name string, ordering durable.Ordering) path {
		return path{name: name, noRaw: true, goal: goal{share: 0.02}, subjects: []subject{{subjectOurs, overheadOf(ordering)}}}
	}
	return []path{
		overhead("redis-overhead", durable.None),
		overhead("redis-overhead-ordered", durable.PerKey),
		{name: fmt.Sprintf("redis-%d-idle-partitions", idlePartitions), noRaw: true, subjects: []subject{{subjectOurs, idleMemory}}},
		{name: "redis-100k-held-events", noRaw: true, subjects: []subject{{subjectOurs, heldMemory}}},
	}
}

// overheadOf runs what redis-consume-4members does, and counts commands.
func overheadOf(ordering durable.Ordering) func(context.Context, *lab) (turn, error) {
	var filled membersStock
	return filled.subject(subjectOurs, func(ctx context.Context, m *membersLab, n int64) (sample, error) {
		var seen []map[string]float64
		m.watch = func(ctx context.Context) error {
			calls, err := m.calls(ctx)
			seen = append(seen, calls)
			return err
		}
		s, err := oursMembers(ctx, m, n, ordering)
		if err != nil {
			return s, err
		}
		for name, n := range seen[0] {
			seen[1][name] -= n
		}
		s.share = shareOf(seen[1], ordering)
		return s, nil
	}).setup
}

// calls is how often the server executed each command, those of scripts included.
func (m *membersLab) calls(ctx context.Context) (map[string]float64, error) {
	text, err := m.Info(ctx, "commandstats").Result()
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		if !ok {
			continue
		}
		calls, _, _ := strings.Cut(rest, ",")
		if out[name], err = strconv.ParseFloat(calls, 64); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// shareOf is the part of calls that is neither reading nor acknowledging. What the members do
// at the end, and what fills and checks the streams, is not looked at.
func shareOf(calls map[string]float64, ordering durable.Ordering) float64 {
	work := calls["xreadgroup"] + calls["xack"]
	kept := []string{"evalsha", "xpending", "xclaim", "hget"}
	if ordering == durable.PerKey {
		commits := calls["xgroup|setid"]
		work = calls["xread"] + 3*commits // the script, its look at the lease, and the position
		calls["evalsha"] -= commits
		calls["get"] -= commits
		kept = []string{"evalsha", "get", "set", "hget", "hset", "hdel", "hgetall", "pexpire", "time", "exists", "xinfo|groups", "xinfo|stream"}
	}
	spent := 0.0
	for _, name := range kept {
		spent += max(calls[name], 0)
	}
	return spent / (spent + work)
}

// idleMemory owns partitions in which nothing happens.
func idleMemory(ctx context.Context, l *lab) (turn, error) {
	_, b, err := openRedis(ctx, l)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, _ time.Duration) (s sample, err error) {
		topic := l.name("idle")
		if err := b.CreateTopic(ctx, durable.TopicSpec{Name: topic, Partitions: idlePartitions}); err != nil {
			return s, err
		}
		debug.FreeOSMemory() // of what ran before
		s.rss.take(0)
		c, err := b.Consume(ctx, durable.Group{Name: "g", Topics: durable.Topics(topic)})
		if err != nil {
			return s, err
		}
		s.elapsed = time.Second // nothing is consumed
		owned := c.(durable.Pauser)
		err = until(ctx, time.Minute, func() error {
			if n := owned.Claims(); n < idlePartitions {
				return fmt.Errorf("%d partitions are owned", n)
			}
			return nil
		})
		s.rss.take(idlePartitions)
		return s, errors.Join(err, c.Close(ctx), b.DeleteTopic(ctx, topic))
	}, nil
}

// heldMemory holds events that wait for a retry.
func heldMemory(ctx context.Context, l *lab) (turn, error) {
	r, b, err := openRedis(ctx, l)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, _ time.Duration) (s sample, err error) {
		topic := l.name("held")
		for n := int64(0); n < bufferedEvents; n += 500 {
			if _, err := b.Append(ctx, topic, window(r.pool.messages, n, 500)...); err != nil {
				return s, err
			}
		}
		debug.FreeOSMemory() // of what ran before
		s.rss.take(0)
		var m durable.Monitor
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		ended, begin := make(chan error, 1), time.Now()
		g := durable.Group{Name: "g", Topics: durable.Topics(topic), Ordering: durable.None}
		go func() {
			ended <- durable.Process(ctx, b, g, func(m *message.Message) error {
				return durable.RetryAfter(errors.New("not yet"), time.Hour) // it takes no worker
			}, durable.ProcessOptions{MaxInFlight: 2 * bufferedEvents, MaxInFlightBytes: 1 << 30, FetchSize: 5000, Monitor: &m, DrainTimeout: time.Millisecond})
		}()
		err = until(ctx, time.Minute, func() error {
			if n := m.Stats().Total().InFlight; n < bufferedEvents {
				return fmt.Errorf("%d events are held", n)
			}
			return nil
		})
		s.events, s.elapsed = bufferedEvents, time.Since(begin)
		s.rss.take(bufferedEvents)
		stop()
		return s, errors.Join(err, <-ended, b.DeleteTopic(context.WithoutCancel(ctx), topic))
	}, nil
}
