package durabletest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

// books is what the handles of a rich backend share.
type books struct {
	mu      sync.Mutex
	topics  map[string]map[string]bool // by group
	alias   map[string]string          // of groups that were reset or deleted
	begin   map[string]durable.Start   // of groups that were reset, by alias
	active  map[string]int             // members by group
	removed map[durable.Position]bool
	turns   int
}

func (s *books) name(group string) string {
	if a, ok := s.alias[group]; ok {
		return a
	}
	return group
}

// rich is a backend with the abilities that memory lacks, some of whose methods are replaced.
type rich struct {
	full
	s      *books
	trim   func(ctx context.Context, topic string, t durable.Trim) (durable.Trimmed, error)
	erase  func(ctx context.Context, topic string, ps ...durable.Position) (int64, error)
	groups func(ctx context.Context, topic string) ([]string, error)
	reset  func(ctx context.Context, group, topic string, start durable.Start) error
	drop   func(ctx context.Context, group, topic string) error
}

// richly wraps memory by rich, changed.
func richly(change func(*rich)) func(testing.TB) func(durable.Backend) durable.Backend {
	return func(testing.TB) func(durable.Backend) durable.Backend {
		s := &books{topics: map[string]map[string]bool{}, alias: map[string]string{}, begin: map[string]durable.Start{}, active: map[string]int{}, removed: map[durable.Position]bool{}}
		return func(next durable.Backend) durable.Backend {
			b := &rich{full: next.(full), s: s}
			b.trim, b.erase, b.groups, b.reset, b.drop = b.plainTrim, b.plainRemove, b.plainGroups, b.plainReset, b.plainDelete
			change(b)
			return b
		}
	}
}

func (b *rich) Trim(ctx context.Context, topic string, t durable.Trim) (durable.Trimmed, error) {
	return b.trim(ctx, topic, t)
}

func (b *rich) Remove(ctx context.Context, topic string, ps ...durable.Position) (int64, error) {
	return b.erase(ctx, topic, ps...)
}

func (b *rich) Groups(ctx context.Context, topic string) ([]string, error) {
	return b.groups(ctx, topic)
}

func (b *rich) ResetGroup(ctx context.Context, group, topic string, start durable.Start) error {
	return b.reset(ctx, group, topic, start)
}

func (b *rich) DeleteGroup(ctx context.Context, group, topic string) error {
	return b.drop(ctx, group, topic)
}

// Lag is that of the group that stands for this one.
func (b *rich) Lag(ctx context.Context, group, topic string) ([]durable.PartitionLag, error) {
	b.s.mu.Lock()
	name := b.s.name(group)
	b.s.mu.Unlock()
	return b.full.Lag(ctx, name, topic)
}

func (b *rich) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	b.s.mu.Lock()
	group := g.Name
	g.Name = b.s.name(group)
	if start, ok := b.s.begin[g.Name]; ok {
		g.Start = start
	}
	for _, t := range g.Topics {
		if b.s.topics[t.Topic] == nil {
			b.s.topics[t.Topic] = map[string]bool{}
		}
		b.s.topics[t.Topic][group] = true
	}
	b.s.active[group]++
	b.s.mu.Unlock()
	inner, err := b.full.Consume(ctx, g)
	if err != nil {
		return nil, err
	}
	c := &consumer{Consumer: inner}
	var once sync.Once
	c.close = func(ctx context.Context) error {
		err := inner.Close(ctx)
		once.Do(func() {
			b.s.mu.Lock()
			defer b.s.mu.Unlock()
			b.s.active[group]--
		})
		return err
	}
	c.fetch = func(ctx context.Context, n int) ([]durable.Delivery, error) {
		for {
			ds, err := inner.Fetch(ctx, n)
			b.s.mu.Lock()
			ds = slices.DeleteFunc(ds, func(d durable.Delivery) bool { return b.s.removed[d.Position] })
			b.s.mu.Unlock()
			if err != nil || len(ds) > 0 {
				return ds, err
			}
		}
	}
	return c, nil
}

func (b *rich) plainTrim(ctx context.Context, topic string, t durable.Trim) (durable.Trimmed, error) {
	info, err := b.DescribeTopic(ctx, topic)
	if err != nil {
		return durable.Trimmed{}, err
	}
	old := make([]int64, len(info.Partitions))
	for rec, err := range b.Replay(ctx, topic, durable.Range{}) {
		if err != nil {
			return durable.Trimmed{}, err
		}
		if rec.StoredAt.Before(t.Before) {
			old[rec.Partition]++
		}
	}
	read, err := b.read(ctx, topic, info)
	if err != nil {
		return durable.Trimmed{}, err
	}
	var done durable.Trimmed
	keep := int64(0)
	for i, p := range info.Partitions {
		cut := old[i]
		if t.MaxLen > 0 {
			cut = max(cut, p.Records-t.MaxLen)
		}
		if !t.AllowUnread && cut > read[i] {
			cut, done.Held = read[i], true
		}
		done.Records += cut
		done.Unread += max(0, cut-read[i])
		keep = max(keep, p.Records-cut)
	}
	return done, b.full.(*backend).full.(*memory.Backend).Trim(ctx, topic, keep)
}

// read is how many records every group has acknowledged, by partition.
func (b *rich) read(ctx context.Context, topic string, info durable.TopicInfo) ([]int64, error) {
	out := make([]int64, len(info.Partitions))
	for i, p := range info.Partitions {
		out[i] = p.Records
	}
	names, err := b.plainGroups(ctx, topic)
	for _, name := range names {
		lags, err := b.Lag(ctx, name, topic)
		if err != nil {
			return nil, err
		}
		for i, l := range lags {
			out[i] = min(out[i], info.Partitions[i].Records-max(l.Lag, 0))
		}
	}
	return out, err
}

func (b *rich) plainRemove(_ context.Context, _ string, ps ...durable.Position) (n int64, err error) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	for _, p := range ps {
		if !b.s.removed[p] {
			b.s.removed[p] = true
			n++
		}
	}
	return n, nil
}

func (b *rich) plainGroups(ctx context.Context, topic string) ([]string, error) {
	if _, err := b.DescribeTopic(ctx, topic); err != nil {
		return nil, err
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	return slices.Sorted(maps.Keys(b.s.topics[topic])), nil
}

// Replay leaves out what was removed.
func (b *rich) Replay(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
	return func(yield func(durable.Record, error) bool) {
		for rec, err := range b.full.Replay(ctx, topic, r) {
			b.s.mu.Lock()
			gone := err == nil && b.s.removed[rec.Position]
			b.s.mu.Unlock()
			if !gone && !yield(rec, err) {
				return
			}
		}
	}
}

func (b *rich) plainReset(ctx context.Context, group, topic string, start durable.Start) error {
	for _, err := range b.full.Replay(ctx, topic, durable.Range{From: start}) {
		if errors.Is(err, durable.ErrPositionExpired) {
			return err
		}
		break
	}
	if err := b.plainDelete(ctx, group, topic); err != nil {
		return err
	}
	b.s.mu.Lock()
	b.s.begin[b.s.name(group)] = start
	b.s.mu.Unlock()
	c, err := b.Consume(ctx, durable.Group{Name: group, Topics: durable.Topics(topic)})
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

func (b *rich) plainDelete(_ context.Context, group, topic string) error {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if b.s.active[group] > 0 {
		return durable.ErrGroupActive
	}
	b.s.turns++
	b.s.alias[group] = fmt.Sprintf("%s-%d", group, b.s.turns)
	delete(b.s.topics[topic], group)
	return nil
}

func TestTheCorrectRichBackendPassesTheChecksOfItsAbilities(t *testing.T) {
	s := suite()
	s.Checks = slices.Concat(trimChecks(), groupChecks())
	s.Passes(t, func(t testing.TB) Harness { return harness(t, memory.Config{}, richly(func(*rich) {})(t)) })
}
