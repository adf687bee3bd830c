package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// Lag implements durable.LagReporter. Lag is -1 where the group has no offset. Pending is what members of this package
// had handed out and not finished when they committed last, and Members is who owns the partition.
func (b *Backend) Lag(ctx context.Context, group, topic string) ([]durable.PartitionLag, error) {
	var found []durable.PartitionLag
	err := b.ask(ctx, func() (err error) {
		found, err = b.lag(group, topic)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("kafka: lag of %q in %q: %w", group, topic, translateStart(denied(err, opDescribe)))
	}
	return found, nil
}

func (b *Backend) lag(group, topic string) ([]durable.PartitionLag, error) {
	partitions, err := b.partitions(topic)
	if err != nil {
		return nil, err
	}
	stored, err := b.admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: partitions})
	if err != nil {
		return nil, err
	}
	owners, err := b.owners(group, topic)
	if err != nil {
		return nil, err
	}
	out := make([]durable.PartitionLag, 0, len(partitions))
	for _, p := range partitions {
		newest, err := offsetAt(b.client, topic, p, sarama.OffsetNewest)
		if err != nil {
			return nil, err
		}
		x := durable.PartitionLag{Partition: int(p), Lag: -1}
		if block := stored.GetBlock(topic, p); block != nil && block.Offset >= 0 {
			x.Lag = max(0, newest-block.Offset)
			if block.Offset > 0 {
				x.Position = position(p, block.Offset-1, notedIncarnation(block.Metadata))
			}
			x.Pending = parseTally(block.Metadata).handedOut(block.Offset)
			if x.Pending > 0 {
				x.OldestPending = b.age(topic, p, block.Offset)
			}
		}
		if owner, ok := owners[p]; ok {
			x.Members = []durable.MemberLag{{Member: owner, Pending: x.Pending, OldestPending: x.OldestPending}}
		}
		out = append(out, x)
	}
	return out, nil
}

// owners are the names of the members of group by the partition of topic that they have.
func (b *Backend) owners(group, topic string) (map[int32]string, error) {
	d, err := b.describe(group)
	if err != nil {
		return nil, err
	}
	out := map[int32]string{}
	for _, m := range d.Members {
		for _, p := range assignedTo(m)[topic] {
			out[p] = b.nameOf(m)
		}
	}
	return out, nil
}

// age is how long ago the first record at offset or behind it was stored, 0 where that cannot be read.
func (b *Backend) age(topic string, partition int32, offset int64) time.Duration {
	leader, err := b.client.Leader(topic, partition)
	if err != nil {
		return 0
	}
	req := newFetch(0)
	req.AddBlock(topic, partition, offset, 1, -1) // a broker gives one batch at least
	resp, err := leader.Fetch(req)
	if err != nil {
		return 0
	}
	block := resp.GetBlock(topic, partition)
	if block == nil || code(block.Err) != nil {
		return 0
	}
	at := part{topic: topic, partition: partition, next: offset, end: -1}
	recs, err := at.scan(block)
	if err != nil || len(recs) == 0 {
		return 0
	}
	return max(0, time.Since(recs[0].at))
}
