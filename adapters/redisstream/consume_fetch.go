package redisstream

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dualstream/dualstream/durable"
)

// Fetch implements durable.Consumer.
func (c *consumer) Fetch(ctx context.Context, max int) ([]durable.Delivery, error) {
	for {
		if err := c.ended(); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if ds := c.take(max); len(ds) > 0 {
			return ds, nil
		}
		select {
		case batch := <-c.batches:
			c.mu.Lock()
			c.rest = batch
			c.mu.Unlock()
		case <-c.again:
		case <-c.ctx.Done():
		case <-ctx.Done():
		}
	}
}

// ended is why nothing more can be fetched.
func (c *consumer) ended() error {
	if c.ctx.Err() != nil {
		return fmt.Errorf("redisstream: %w", durable.ErrClosed)
	}
	return nil
}

// take is at most most deliveries whose claims are held: released ones first.
func (c *consumer) take(most int) []durable.Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := &c.rest
	if len(c.back) > 0 {
		from = &c.back
	}
	n := min(max(most, 1), len(*from))
	ds := (*from)[:n:n]
	*from = (*from)[n:]
	if len(*from) == 0 {
		*from = nil
	}
	lost := func(d durable.Delivery) bool { return c.byClaim[d.Claim] == nil }
	if slices.ContainsFunc(ds, lost) {
		ds = slices.DeleteFunc(ds, lost)
	}
	return ds
}

// Ack implements durable.Consumer. A goroutine of the member writes the acks.
func (c *consumer) Ack(_ context.Context, ds ...durable.Delivery) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var claim *durable.Claim
	var s *stream
	for i := range ds {
		if ds[i].Claim != claim || i == 0 {
			claim = ds[i].Claim
			s = c.byClaim[claim]
		}
		if s == nil {
			c.late++
			continue
		}
		s.acks = append(s.acks, entryID(ds[i].Position))
	}
	poke(c.ackKick)
	return nil
}

// entryID is the id of the entry at p.
func entryID(p durable.Position) string {
	return string(p[strings.LastIndexByte(string(p), ':')+1:])
}

// Release implements durable.Consumer.
func (c *consumer) Release(ds ...durable.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.back)
	for _, d := range ds {
		if c.byClaim[d.Claim] != nil {
			c.back = append(c.back, d)
		}
	}
	if len(c.back) == before {
		return
	}
	slices.SortStableFunc(c.back, func(a, b durable.Delivery) int {
		if a.Claim != b.Claim {
			return strings.Compare(claimName(a.Claim), claimName(b.Claim))
		}
		return compareIDs(entryID(a.Position), entryID(b.Position))
	})
	poke(c.again)
}

func claimName(c *durable.Claim) string { return fmt.Sprintf("%s/%06d", c.Topic(), c.Partition()) }

// SetTopics implements durable.Consumer. It is refused: join with another member.
func (c *consumer) SetTopics(context.Context, ...durable.TopicStart) error {
	if err := c.ended(); err != nil {
		return err
	}
	return fmt.Errorf("redisstream: topics that change while a member runs: %w: join a member with the other topics", durable.ErrUnsupported)
}
