package memory

import (
	"context"
	"fmt"
	"slices"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

var _ durable.GroupAdministrator = (*Backend)(nil)

// Groups implements durable.GroupAdministrator.
func (b *Backend) Groups(ctx context.Context, name string) ([]string, error) {
	if err := b.gate.Enter(ctx); err != nil {
		return nil, fmt.Errorf("memory: groups of %q: %w", name, err)
	}
	defer b.gate.Leave()
	s := b.store
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.topics[name] == nil {
		return nil, fmt.Errorf("memory: groups of %q: %w", name, durable.ErrTopicNotFound)
	}
	var out []string
	for group, g := range s.groups {
		g.mu.Lock()
		if g.topics[name] != nil {
			out = append(out, group)
		}
		g.mu.Unlock()
	}
	slices.Sort(out)
	return out, nil
}

// ResetGroup implements durable.GroupAdministrator. All partitions change in one step.
func (b *Backend) ResetGroup(ctx context.Context, name, topic string, start durable.Start) error {
	err := b.idle(ctx, name, topic, func(_ *group, gt *groupTopic) error {
		if err := adapterkit.CheckStart(start, len(gt.places)); err != nil {
			return err
		}
		offsets := make([]int64, len(gt.places))
		for i, pl := range gt.places {
			var err error
			if offsets[i], err = adapterkit.Resolve(start, i, pl); err != nil {
				return err
			}
		}
		for i, pl := range gt.places {
			pl.committed, pl.attempts = offsets[i], nil
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("memory: reset group %q in %q: %w", name, topic, err)
	}
	return nil
}

// DeleteGroup implements durable.GroupAdministrator. All partitions change in one step.
func (b *Backend) DeleteGroup(ctx context.Context, name, topic string) error {
	err := b.idle(ctx, name, topic, func(g *group, _ *groupTopic) error {
		delete(g.topics, topic)
		if len(g.topics) == 0 && len(g.members) == 0 {
			delete(b.store.groups, name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("memory: delete group %q in %q: %w", name, topic, err)
	}
	return nil
}

// idle calls change with Store.mu and the group's lock held, where no member of the group consumes the topic.
func (b *Backend) idle(ctx context.Context, name, topic string, change func(*group, *groupTopic) error) error {
	if err := b.gate.Enter(ctx); err != nil {
		return err
	}
	defer b.gate.Leave()
	s := b.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics[topic] == nil {
		return durable.ErrTopicNotFound
	}
	unknown := durable.Invalid("group", name, "name a group that has consumed this topic")
	g := s.groups[name]
	if g == nil {
		return unknown
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	gt := g.topics[topic]
	if gt == nil {
		return unknown
	}
	wanted := slices.ContainsFunc(g.members, func(c *consumer) bool { return c.wants(topic) })
	held := slices.ContainsFunc(gt.places, func(pl *place) bool { return pl.owner != nil })
	if wanted || held {
		return durable.ErrGroupActive
	}
	return change(g, gt)
}
