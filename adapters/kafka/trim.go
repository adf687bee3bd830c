package kafka

import (
	"context"
	"fmt"
	"math"

	"github.com/dualstream/dualstream/durable"
)

var _ durable.Trimmer = (*Backend)(nil)

// Trim implements durable.Trimmer. It is always exact, as far as offsets count records: compaction and transactions
// leave holes.
func (b *Backend) Trim(ctx context.Context, topic string, t durable.Trim) (durable.Trimmed, error) {
	var done durable.Trimmed
	err := b.ask(ctx, func() error {
		ps, err := b.partitions(topic)
		if err != nil {
			return err
		}
		unread, err := b.firstUnread(topic, ps)
		if err != nil {
			return err
		}
		before := map[int32]int64{}
		for _, p := range ps {
			oldest, newest, err := bounds(b.client, topic, p)
			if err != nil {
				return err
			}
			to, err := b.trimTo(topic, p, newest, t)
			if err != nil {
				return err
			}
			if !t.AllowUnread && to > max(unread[p], oldest) {
				to, done.Held = max(unread[p], oldest), true
			}
			if to <= oldest {
				continue
			}
			before[p] = to
			done.Records += to - oldest
			done.Unread += max(0, to-max(unread[p], oldest))
		}
		if len(before) == 0 {
			return nil
		}
		return b.admin.DeleteRecords(topic, before)
	})
	if err != nil {
		return durable.Trimmed{}, fmt.Errorf("kafka: trim %q: %w", topic, translateStart(denied(err, opDelete)))
	}
	return done, nil
}

// trimTo is the offset before which t lets go of everything.
func (b *Backend) trimTo(topic string, p int32, newest int64, t durable.Trim) (int64, error) {
	to := int64(0)
	if t.MaxLen > 0 {
		to = newest - t.MaxLen
	}
	if t.Before.IsZero() {
		return to, nil
	}
	at, err := offsetAt(b.client, topic, p, t.Before.UnixMilli())
	if err == nil && at < 0 {
		at = newest
	}
	return max(to, at), err
}

// firstUnread is the lowest offset that some group has committed, by partition; the highest number where none has.
func (b *Backend) firstUnread(topic string, ps []int32) (map[int32]int64, error) {
	first := map[int32]int64{}
	for _, p := range ps {
		first[p] = math.MaxInt64
	}
	groups, err := b.groups(topic)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		stored, err := b.admin.ListConsumerGroupOffsets(g, map[string][]int32{topic: ps})
		if err != nil {
			return nil, err
		}
		for _, p := range ps {
			at := int64(0)
			if block := stored.GetBlock(topic, p); block != nil {
				at = block.Offset
			}
			first[p] = min(first[p], max(at, 0)) // without one it begins at the oldest record
		}
	}
	return first, nil
}
