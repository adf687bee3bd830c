package memory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

func isExpired(err error) bool { return errors.Is(err, durable.ErrPositionExpired) }

// Fetch implements durable.Consumer: it takes from all owned partitions in turn.
func (c *consumer) Fetch(ctx context.Context, most int) ([]durable.Delivery, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("memory: fetch: %w", err)
		}
		n, err := c.take(max(most, 1))
		if err != nil {
			return nil, fmt.Errorf("memory: fetch: %w", err)
		}
		if n > 0 {
			return c.deliveries(), nil
		}
		select {
		case <-c.wake:
		case <-c.done:
		case <-ctx.Done():
		}
	}
}

// take fills found with at most n records, shared fairly between the owned partitions.
func (c *consumer) take(n int) (int, error) {
	g := c.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.closed {
		return 0, durable.ErrClosed
	}
	if err := c.checkExpired(); err != nil {
		return 0, err
	}
	c.found = c.found[:0]
	owned := len(c.places)
	for pass := range 2 {
		for i := range owned {
			left := n - len(c.found)
			if left <= 0 {
				break
			}
			share := left
			if pass == 0 {
				share = (left + owned - i - 1) / (owned - i)
			}
			pl := c.places[(c.turn+i)%owned]
			if pl.timer == nil && !pl.paused {
				c.found = pl.fetch(c.found, share, &c.recs)
			}
		}
	}
	if owned > 0 {
		c.turn = (c.turn + 1) % owned
	}
	return len(c.found), nil
}

// checkExpired applies the policy to owned partitions whose next record was trimmed.
func (c *consumer) checkExpired() error {
	for _, pl := range c.places {
		if pl.timer != nil || !pl.expired() {
			continue
		}
		if c.expired == durable.ExpiredFail {
			return fmt.Errorf("group %q in partition %d of topic %q: %w",
				c.name, pl.partition, pl.topic.name, durable.ErrPositionExpired)
		}
		pl.jump()
		c.jumped(pl.topic.name, pl.partition)
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
		text = f.topic.appendPosition(text, f.claim.Partition(), f.offset)
		ends[i] = len(text)
		out[i] = durable.Delivery{
			Message:  f.rec.message(&data),
			Topic:    f.topic.name,
			Claim:    f.claim,
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
