package redisstream

import (
	"context"
	"fmt"

	"github.com/dualstream/dualstream/durable"
)

var _ durable.LagReporter = (*Backend)(nil)

// Lag implements durable.LagReporter by what the server counts. A partition in which the group was not made yet,
// and one whose count the server lost by deletions, have the lag -1. A group that no partition knows is invalid.
func (b *Backend) Lag(ctx context.Context, group, topic string) ([]durable.PartitionLag, error) {
	n, _, err := b.find(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("redisstream: lag of %q in %q: %w", group, topic, err)
	}
	out, found := make([]durable.PartitionLag, n), false
	for p := range n {
		out[p] = durable.PartitionLag{Partition: p, Lag: -1}
		groups, err := b.control.XInfoGroups(ctx, streamKey(topic, p, n)).Result()
		if err != nil && !missing(err) {
			return nil, fmt.Errorf("redisstream: lag of %q in %q: %w", group, topic, unavailable(err))
		}
		for _, g := range groups {
			if g.Name == group {
				out[p].Lag, out[p].Pending, found = g.Lag, g.Pending, true
			}
		}
	}
	if !found {
		return nil, fmt.Errorf("redisstream: lag in %q: %w", topic, durable.Invalid("group", group, "name a group that has consumed this topic"))
	}
	return out, nil
}
