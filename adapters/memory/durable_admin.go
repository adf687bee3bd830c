package memory

import (
	"context"
	"fmt"

	"github.com/dualstream/dualstream/durable"
)

// CreateTopic implements durable.Administrator. Retention and Replication are ignored.
func (b *Backend) CreateTopic(ctx context.Context, spec durable.TopicSpec) error {
	if err := b.gate.Enter(ctx); err != nil {
		return fmt.Errorf("memory: create topic %q: %w", spec.Name, err)
	}
	defer b.gate.Leave()
	if err := durable.CheckTopic(spec.Name); err != nil {
		return fmt.Errorf("memory: create topic: %w", err)
	}
	if spec.Partitions < 0 || spec.MaxLen < 0 {
		return fmt.Errorf("memory: create topic %q: %w", spec.Name,
			durable.Invalid("TopicSpec", fmt.Sprintf("%+v", spec), "use positive numbers, or 0 for the default"))
	}
	if spec.Partitions == 0 {
		spec.Partitions = b.cfg.Partitions
	}
	if spec.MaxLen == 0 {
		spec.MaxLen = b.cfg.MaxLen
	}
	s := b.store
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[spec.Name]
	if t == nil {
		s.add(newTopic(spec.Name, spec.Partitions, spec.MaxLen, b.cfg.MaxBytes))
		return nil
	}
	if len(t.partitions) != spec.Partitions {
		return fmt.Errorf("memory: create topic %q with %d partitions, it has %d: %w",
			spec.Name, spec.Partitions, len(t.partitions), durable.ErrTopicExists)
	}
	return nil
}

// DeleteTopic implements durable.Administrator. The positions of groups in the topic are deleted too.
func (b *Backend) DeleteTopic(ctx context.Context, name string) error {
	if err := b.gate.Enter(ctx); err != nil {
		return fmt.Errorf("memory: delete topic %q: %w", name, err)
	}
	defer b.gate.Leave()
	s := b.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topics[name] == nil {
		return fmt.Errorf("memory: delete topic %q: %w", name, durable.ErrTopicNotFound)
	}
	delete(s.topics, name)
	for _, g := range s.groups {
		g.topicDeleted(name)
	}
	return nil
}

// find is the topic name, or ErrTopicNotFound.
func (b *Backend) find(name string) (*topic, error) {
	b.store.mu.RLock()
	defer b.store.mu.RUnlock()
	t := b.store.topics[name]
	if t == nil {
		return nil, durable.ErrTopicNotFound
	}
	return t, nil
}

// DescribeTopic implements durable.Administrator.
func (b *Backend) DescribeTopic(ctx context.Context, name string) (durable.TopicInfo, error) {
	if err := b.gate.Enter(ctx); err != nil {
		return durable.TopicInfo{}, fmt.Errorf("memory: describe topic %q: %w", name, err)
	}
	defer b.gate.Leave()
	t, err := b.find(name)
	if err != nil {
		return durable.TopicInfo{}, fmt.Errorf("memory: describe topic %q: %w", name, err)
	}
	info := durable.TopicInfo{Name: name}
	for i, p := range t.partitions {
		info.Partitions = append(info.Partitions, t.describe(i, p))
	}
	return info, nil
}

func (t *topic) describe(i int, p *partition) durable.PartitionInfo {
	p.mu.RLock()
	defer p.mu.RUnlock()
	info := durable.PartitionInfo{Partition: i, Records: p.stored()}
	if info.Records > 0 {
		info.Oldest, info.Newest = t.position(i, p.first), t.position(i, p.newest(1))
	}
	return info
}
