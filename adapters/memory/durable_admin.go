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
		oldest, end := p.bounds()
		part := durable.PartitionInfo{Partition: i, Records: end - oldest}
		if end > oldest {
			part.Oldest, part.Newest = t.position(i, oldest), t.position(i, end-1)
		}
		info.Partitions = append(info.Partitions, part)
	}
	return info, nil
}

// Trim removes the oldest records of every partition of topic until at most keep are left in each.
func (b *Backend) Trim(ctx context.Context, name string, keep int64) error {
	if err := b.gate.Enter(ctx); err != nil {
		return fmt.Errorf("memory: trim %q: %w", name, err)
	}
	defer b.gate.Leave()
	if keep < 0 {
		return fmt.Errorf("memory: trim %q: %w", name, durable.Invalid("keep", fmt.Sprint(keep), "use 0 or more"))
	}
	t, err := b.find(name)
	if err != nil {
		return fmt.Errorf("memory: trim %q: %w", name, err)
	}
	for _, p := range t.partitions {
		p.mu.Lock()
		p.trim(keep, p.maxBytes)
		p.mu.Unlock()
	}
	return nil
}

// Lag implements durable.LagReporter: Lag counts what is stored and not acknowledged, Pending what is handed out.
// Lag is -1 where the group has no position.
func (b *Backend) Lag(ctx context.Context, name, topicName string) ([]durable.PartitionLag, error) {
	if err := b.gate.Enter(ctx); err != nil {
		return nil, fmt.Errorf("memory: lag of %q in %q: %w", name, topicName, err)
	}
	defer b.gate.Leave()
	t, err := b.find(topicName)
	if err != nil {
		return nil, fmt.Errorf("memory: lag of %q in %q: %w", name, topicName, err)
	}
	out := make([]durable.PartitionLag, len(t.partitions))
	for i := range out {
		out[i] = durable.PartitionLag{Partition: i, Lag: -1}
	}
	b.store.mu.RLock()
	defer b.store.mu.RUnlock()
	g := b.store.groups[name]
	if g == nil {
		return out, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if gt := g.topics[topicName]; gt != nil && gt.topic == t {
		for i, pl := range gt.places {
			oldest, end := pl.log().bounds()
			out[i].Lag = end - max(pl.committed, oldest)
			if pl.seat != nil {
				out[i].Pending = int64(len(pl.seat.Handed()))
			}
		}
	}
	return out, nil
}
