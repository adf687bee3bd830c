package memory

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

// Fetch implements durable.Consumer: it takes from all owned partitions in turn.
func (c *consumer) Fetch(ctx context.Context, most int) ([]durable.Delivery, error) {
	err := adapterkit.Until(ctx, c.done, c.wake, func() (bool, error) { return c.take(max(most, 1)) })
	if err != nil {
		return nil, fmt.Errorf("memory: fetch: %w", err)
	}
	return c.deliveries(), nil
}

// take fills found with at most n records, shared fairly between the owned partitions.
func (c *consumer) take(n int) (some bool, err error) {
	g := c.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.closed {
		return false, durable.ErrClosed
	}
	if err := c.checkExpired(); err != nil {
		return false, err
	}
	c.found = c.found[:0]
	err = c.seats.Share(n, func(s *seat, most int) (int, error) {
		before := len(c.found)
		if s.Of.timer == nil {
			c.found = s.Of.fetch(c.found, most, &c.recs)
		}
		return len(c.found) - before, nil
	})
	return len(c.found) > 0, err
}

// checkExpired applies the policy to owned partitions whose next record was trimmed.
func (c *consumer) checkExpired() error {
	for _, s := range c.seats.All() {
		pl := s.Of
		if pl.timer != nil || !pl.expired() {
			continue
		}
		err := fmt.Errorf("group %q in partition %d of topic %q: %w",
			c.name, pl.partition, pl.topic.name, durable.ErrPositionExpired)
		if err := c.settle(pl.topic.name, pl.partition, err); err != nil {
			return err
		}
		pl.jump()
	}
	return nil
}

// deliveries makes found into deliveries whose messages the caller may change: one allocation for all payloads
// and one for all positions.
func (c *consumer) deliveries() []durable.Delivery {
	size := 0
	for i := range c.found {
		size += len(c.found[i].rec.payload)
	}
	data := make([]byte, 0, size)
	text := make([]byte, 0, len(c.found)*24)
	out := make([]durable.Delivery, len(c.found))
	ends := make([]int, len(c.found))
	for i := range c.found {
		f := &c.found[i]
		text = adapterkit.AppendPosition(text, f.seat.Of.partition, f.offset, f.seat.Of.topic.incarnation)
		ends[i] = len(text)
		out[i] = durable.Delivery{
			Message:  f.rec.message(&data),
			Topic:    f.seat.Of.topic.name,
			Claim:    f.seat.Claim,
			Key:      f.rec.key,
			Attempt:  f.attempt,
			StoredAt: time.Unix(0, f.rec.at),
		}
	}
	positions, from := string(text), 0
	for i, to := range ends {
		out[i].Position = durable.Position(positions[from:to])
		from = to
	}
	clear(c.found)
	clear(c.recs)
	return out
}

// message is a copy of the record's message; its payload is taken from data, which has room.
func (r *record) message(data *[]byte) *message.Message {
	from := len(*data)
	*data = append(*data, r.payload...)
	to := len(*data)
	msg := message.NewMessage(r.uuid, (*data)[from:to:to])
	for _, p := range r.meta {
		msg.Metadata[p.key] = p.value
	}
	return msg
}
