package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/redisstream"
	"github.com/dualstream/dualstream/durable"
)

const (
	memberCount     = 4
	memberStreams   = 8
	redisMemberRate = 300_000 // events a second for which streams are filled
)

// memberPaths compare four members that consume eight streams together. Raw members compete: each reads 500 entries of
// its share of the streams at a time and acknowledges them with one XACK a stream.
func memberPaths() []path {
	var filled membersStock
	members := func(name string, ordering durable.Ordering, g goal) path {
		return path{name: name, goal: g, subjects: []subject{
			filled.subject(subjectRaw, rawMembers),
			filled.subject(subjectOurs, func(ctx context.Context, m *membersLab, n int64) (sample, error) {
				return oursMembers(ctx, m, n, ordering)
			}),
		}}
	}
	return []path{
		members("redis-consume-4members-ordered", durable.PerKey, goal{atLeast: 1.0, aim: 1.2}),
		members("redis-consume-4members", durable.None, goal{atLeast: 0.80}),
	}
}

// membersLab is the streams of one turn.
type membersLab struct {
	*redisLab
	admin *redisstream.Backend
	from  string // the topic that is filled
	topic string // the topic of the turn, empty
	group string
	watch func(context.Context) error // called when the members are about to work and when they are done; nil: not
}

func (m *membersLab) look(ctx context.Context) error {
	if m.watch == nil {
		return nil
	}
	return m.watch(ctx)
}

func partitionKey(topic string, p int) string { return fmt.Sprintf("{%s:%d}", topic, p) }

// membersStock is the filled topics of one path by their number of events.
type membersStock struct{ topics map[int64]string }

func (s *membersStock) subject(name string, run func(context.Context, *membersLab, int64) (sample, error)) subject {
	return subject{name, func(ctx context.Context, l *lab) (turn, error) {
		r, b, err := openRedis(ctx, l)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			m := &membersLab{redisLab: r, admin: b, topic: l.name("members"), group: "g"}
			n := eventsFor(dur, redisMemberRate)
			if m.from, err = s.topic(ctx, m, n); err != nil {
				return sample{}, err
			}
			if err := b.CreateTopic(ctx, durable.TopicSpec{Name: m.topic, Partitions: memberStreams}); err != nil {
				return sample{}, err
			}
			one, err := run(ctx, m, n)
			return one, errors.Join(err, m.check(ctx), b.DeleteTopic(ctx, m.topic))
		}, nil
	}}
}

// topic returns a topic of n events, spread over its partitions by their keys.
func (s *membersStock) topic(ctx context.Context, m *membersLab, n int64) (string, error) {
	if name, ok := s.topics[n]; ok {
		return name, nil
	}
	name := m.l.name("filled")
	if err := m.admin.CreateTopic(ctx, durable.TopicSpec{Name: name, Partitions: memberStreams}); err != nil {
		return "", err
	}
	const batch = 500
	for done := int64(0); done < n; done += batch {
		if _, err := m.admin.Append(ctx, name, window(m.pool.messages, done, batch)...); err != nil {
			return "", err
		}
	}
	if s.topics == nil {
		s.topics = make(map[int64]string)
	}
	s.topics[n] = name
	m.l.after(func() error { delete(s.topics, n); return m.admin.DeleteTopic(context.Background(), name) })
	return name, nil
}

// put has the events appear in the topic of the turn at once, with a group at their beginning.
func (m *membersLab) put(ctx context.Context) error {
	appear := m.TxPipeline()
	for p := range memberStreams {
		key, fresh := partitionKey(m.topic, p), partitionKey(m.topic, p)+"fresh"
		if err := m.Copy(ctx, partitionKey(m.from, p), fresh, m.Options().DB, true).Err(); err != nil {
			return err
		}
		if err := m.Do(ctx, "xgroup", "create", fresh, m.group, "0", "entriesread", 0).Err(); err != nil {
			return err
		}
		appear.Rename(ctx, fresh, key)
	}
	_, err := appear.Exec(ctx)
	return err
}

// check compares what the group acknowledged with what there was.
func (m *membersLab) check(ctx context.Context) error {
	var errs []error
	for p := range memberStreams {
		errs = append(errs, m.acknowledged(ctx, partitionKey(m.topic, p), m.group))
	}
	return errors.Join(errs...)
}

func rawMembers(ctx context.Context, m *membersLab, n int64) (sample, error) {
	if err := m.put(ctx); err != nil {
		return sample{}, err
	}
	return timed(func() (int64, error) {
		var all sync.WaitGroup
		var done atomic.Int64
		errs := make([]error, memberCount)
		for i := range memberCount {
			all.Go(func() { errs[i] = m.rawMember(ctx, i, &done, n) })
		}
		all.Wait()
		return done.Load(), errors.Join(errs...)
	})
}

// rawMember reads every fourth stream until all members together have acknowledged n events.
func (m *membersLab) rawMember(ctx context.Context, i int, done *atomic.Int64, n int64) error {
	var streams, ends []string
	for p := i; p < memberStreams; p += memberCount {
		streams, ends = append(streams, partitionKey(m.topic, p)), append(ends, ">")
	}
	args := &redis.XReadGroupArgs{
		Group: m.group, Consumer: fmt.Sprint("raw", i), Streams: append(streams, ends...), Count: 500, Block: 20 * time.Millisecond,
	}
	for done.Load() < n {
		got, err := m.XReadGroup(ctx, args).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return err
		}
		for _, s := range got {
			ids := make([]string, len(s.Messages))
			for j, e := range s.Messages {
				ids[j] = e.ID
			}
			acked, err := m.XAck(ctx, s.Stream, m.group, ids...).Result()
			if err != nil {
				return err
			}
			done.Add(acked)
		}
	}
	return nil
}

// oursMembers joins four members, each with connections of its own. Under PerKey the events appear when the streams
// are spread over them, so that the hand-overs of the start are not measured.
func oursMembers(ctx context.Context, m *membersLab, n int64, ordering durable.Ordering) (s sample, err error) {
	if ordering == durable.None {
		if err := m.put(ctx); err != nil {
			return s, err
		}
	}
	ctx, stop := context.WithCancel(ctx)
	pass := newPassing(n)
	ended := make(chan error, memberCount)
	for i := range memberCount {
		b, err := redisstream.Open(ctx, redisstream.Config{Connection: redisstream.Connection{Addr: m.Options().Addr}})
		if err != nil {
			stop()
			return s, err
		}
		g := durable.Group{Name: m.group, Member: fmt.Sprint("m", i), Topics: durable.Topics(m.topic), Ordering: ordering}
		go func() {
			err := durable.Process(ctx, b, g, func(*message.Message) error { pass.seen(); return nil }, durable.ProcessOptions{})
			ended <- errors.Join(err, b.Close(context.Background()))
		}()
	}
	defer func() {
		stop()
		for range memberCount {
			err = errors.Join(err, <-ended)
		}
	}()
	if ordering == durable.PerKey {
		if err := errors.Join(m.spread(ctx), m.put(ctx)); err != nil {
			return s, err
		}
	}
	if err := m.look(ctx); err != nil {
		return s, err
	}
	select {
	case <-pass.full:
		return pass.sample(), m.look(ctx)
	case <-ctx.Done():
		return s, ctx.Err()
	case <-time.After(time.Minute):
		return s, fmt.Errorf("%d of %d events after a minute", pass.got.Load(), n)
	}
}

// spread waits until every member owns as many streams as the others.
func (m *membersLab) spread(ctx context.Context) error {
	return until(ctx, time.Minute, func() error {
		owners := map[string]int{}
		for p := range memberStreams {
			token, err := m.Get(ctx, "ds:lease:"+partitionKey(m.topic, p)+":"+m.group).Result()
			if err != nil {
				return err
			}
			name, _, _ := strings.Cut(token, ":")
			owners[name]++
		}
		for _, n := range owners {
			if len(owners) != memberCount || n != memberStreams/memberCount {
				return fmt.Errorf("the streams are not spread over the members: %v", owners)
			}
		}
		return nil
	})
}
