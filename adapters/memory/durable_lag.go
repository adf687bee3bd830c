package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// Lag implements durable.LagReporter: Lag counts what is stored and not acknowledged, Position is before the first of
// that, Pending what is handed out. Lag is -1 where the group has no position.
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
			out[i] = pl.lag()
		}
	}
	return out, nil
}

// lag is how far pl is behind. The caller holds group.mu.
func (pl *place) lag() durable.PartitionLag {
	out := durable.PartitionLag{Partition: pl.partition}
	if pl.committed > 0 {
		out.Position = pl.topic.position(pl.partition, pl.committed-1)
	}
	p := pl.log()
	p.mu.RLock()
	defer p.mu.RUnlock()
	out.Lag = p.between(pl.committed, p.end)
	if pl.seat == nil {
		return out
	}
	member := durable.MemberLag{Member: pl.owner.member}
	if handed := pl.seat.Handed(); len(handed) > 0 {
		member.Pending = int64(len(handed))
		if oldest := slices.Min(handed); oldest >= p.first {
			member.OldestPending = max(0, time.Since(time.Unix(0, p.at(oldest).at)))
		}
	}
	out.Pending, out.OldestPending, out.Members = member.Pending, member.OldestPending, []durable.MemberLag{member}
	return out
}
