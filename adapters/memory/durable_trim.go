package memory

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

var (
	_ durable.Trimmer = (*Backend)(nil)
	_ durable.Remover = (*Backend)(nil)
)

// Trim implements durable.Trimmer. It is always exact.
func (b *Backend) Trim(ctx context.Context, name string, t durable.Trim) (durable.Trimmed, error) {
	if err := b.gate.Enter(ctx); err != nil {
		return durable.Trimmed{}, fmt.Errorf("memory: trim %q: %w", name, err)
	}
	defer b.gate.Leave()
	if t.MaxLen < 0 {
		return durable.Trimmed{}, fmt.Errorf("memory: trim %q: %w", name,
			durable.Invalid("MaxLen", fmt.Sprint(t.MaxLen), "use 0 or more"))
	}
	s := b.store
	s.mu.RLock() // no group joins, is reset or deleted meanwhile: those that there are only go forward
	defer s.mu.RUnlock()
	of := s.topics[name]
	if of == nil {
		return durable.Trimmed{}, fmt.Errorf("memory: trim %q: %w", name, durable.ErrTopicNotFound)
	}
	var sum durable.Trimmed
	for i, unread := range s.unread(of) {
		got := of.partitions[i].cut(t, unread)
		sum.Records, sum.Unread, sum.Held = sum.Records+got.Records, sum.Unread+got.Unread, sum.Held || got.Held
	}
	return sum, nil
}

// unread is the lowest offset that some group has not acknowledged, by partition; the highest number where there is no
// group. The caller holds mu.
func (s *Store) unread(t *topic) []int64 {
	out := make([]int64, len(t.partitions))
	for i := range out {
		out[i] = math.MaxInt64
	}
	for _, g := range s.groups {
		g.mu.Lock()
		if gt := g.topics[t.name]; gt != nil {
			for i, pl := range gt.places {
				out[i] = min(out[i], pl.committed)
			}
		}
		g.mu.Unlock()
	}
	return out
}

// cut trims as t says. Some group has not acknowledged what lies at unread or behind it.
func (p *partition) cut(t durable.Trim, unread int64) (done durable.Trimmed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to := p.first
	if t.MaxLen > 0 {
		to = max(to, p.newest(t.MaxLen))
	}
	if !t.Before.IsZero() {
		to = max(to, p.sinceLocked(t.Before))
	}
	if held := max(unread, p.first); !t.AllowUnread && held < to {
		done.Held = p.between(held, to) > 0
		to = held
	}
	done.Records, done.Unread = p.between(p.first, to), p.between(unread, to)
	for p.first < to {
		p.drop()
	}
	p.shrink()
	return done
}

// newest is the offset at which the newest n stored records begin. The caller holds mu.
func (p *partition) newest(n int64) int64 {
	to := max(p.first, p.end-n)
	for i := len(p.holes) - 1; i >= 0 && p.holes[i] >= to && to > p.first; i-- {
		to-- // the hole is none of the n
	}
	return to
}

// stored is how many records there are. The caller holds mu.
func (p *partition) stored() int64 { return p.between(p.first, p.end) }

// between is how many records are stored from offset from on and before to. The caller holds mu.
func (p *partition) between(from, to int64) int64 {
	from = max(from, p.first)
	if to <= from {
		return 0
	}
	lo, _ := slices.BinarySearch(p.holes, from)
	hi, _ := slices.BinarySearch(p.holes, to)
	return to - from - int64(hi-lo)
}

// Remove implements durable.Remover. What a member was handed is removed too: it is not handed out again. A removed record
// counts for Config.MaxLen until all before it are gone.
func (b *Backend) Remove(ctx context.Context, name string, ps ...durable.Position) (int64, error) {
	if err := b.gate.Enter(ctx); err != nil {
		return 0, fmt.Errorf("memory: remove from %q: %w", name, err)
	}
	defer b.gate.Leave()
	t, err := b.find(name)
	if err != nil {
		return 0, fmt.Errorf("memory: remove from %q: %w", name, err)
	}
	offsets := map[int][]int64{}
	for _, p := range ps {
		part, offset, incarnation, ok := adapterkit.ParsePosition(p)
		if !ok || part >= len(t.partitions) {
			return 0, fmt.Errorf("memory: remove from %q: %w", name,
				durable.Invalid("position", string(p), "use a position that this backend returned for the topic"))
		}
		if incarnation == t.incarnation { // else it went with its topic
			offsets[part] = append(offsets[part], offset)
		}
	}
	var n int64
	for part, of := range offsets {
		n += t.partitions[part].remove(of)
	}
	return n, nil
}

// remove deletes the records at offsets that are stored, and tells how many that were.
func (p *partition) remove(offsets []int64) (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, offset := range offsets {
		if offset < p.first || offset >= p.end {
			continue
		}
		i, gone := slices.BinarySearch(p.holes, offset)
		if gone {
			continue
		}
		p.clear(offset)
		p.holes = slices.Insert(p.holes, i, offset)
		n++
	}
	p.skipHoles()
	p.shrink()
	return n
}
