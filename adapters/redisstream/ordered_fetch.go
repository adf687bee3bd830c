package redisstream

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/dualstream/dualstream/durable"
)

// Fetch implements durable.Consumer.
func (c *ordered) Fetch(ctx context.Context, most int) ([]durable.Delivery, error) {
	for {
		if err := c.ended(); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := c.refused.tell(); err != nil {
			return nil, denied(c.group.Name, err)
		}
		if ds := c.give(max(most, 1)); len(ds) > 0 {
			return ds, nil
		}
		select {
		case next := <-c.batches:
			c.mu.Lock()
			c.waiting = append(c.waiting, next)
			c.mu.Unlock()
		case <-c.again:
		case <-c.failed:
		case <-c.ctx.Done():
		case <-ctx.Done():
		}
	}
}

// ended is why nothing more can be fetched.
func (c *ordered) ended() error {
	if c.ctx.Err() != nil {
		return fmt.Errorf("redisstream: %w", durable.ErrClosed)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// give is at most most deliveries whose claims are held: released ones first. It is empty only where nothing waits.
func (c *ordered) give(most int) []durable.Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ds := c.giveBack(most); len(ds) > 0 {
		return ds
	}
	o := c.fetched()
	if o == nil {
		return nil
	}
	n := min(most, len(c.rest.ds))
	ds := c.rest.ds[:n:n]
	o.out += n
	o.started = parseNo(entryID(ds[n-1].Position))
	if c.rest.ds = c.rest.ds[n:]; len(c.rest.ds) == 0 {
		c.rest = batch{}
	}
	return ds
}

// giveBack is at most most of what was released. What is lost or drained of that is dropped. The caller holds mu.
func (c *ordered) giveBack(most int) []durable.Delivery {
	var ds, kept []durable.Delivery
	i := 0
	for ; i < len(c.back) && len(ds) < most; i++ {
		o := c.byClaim[c.back[i].Claim]
		if o == nil || o.drainBy > 0 {
			continue
		}
		if o.paused {
			kept = append(kept, c.back[i])
			continue
		}
		if s := o.window.find(parseNo(entryID(c.back[i].Position))); s != nil && s.state == slotBack {
			s.state = slotOpen
			o.out++
			ds = append(ds, c.back[i])
		}
	}
	if i < len(c.back) {
		poke(c.again)
	}
	c.back = append(kept, c.back[i:]...)
	return ds
}

// Ack implements durable.Consumer. The finished prefix of a partition is committed by a goroutine of the member.
func (c *ordered) Ack(_ context.Context, ds ...durable.Delivery) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var claim *durable.Claim
	var o *tenure
	for i := range ds {
		if ds[i].Claim != claim || i == 0 {
			if o != nil {
				c.settled(o)
			}
			claim = ds[i].Claim
			o = c.byClaim[claim]
		}
		if o == nil {
			c.b.stats.late.Add(1)
			continue
		}
		s := o.window.find(parseNo(entryID(ds[i].Position)))
		if s == nil || s.state == slotDone {
			continue
		}
		if s.state == slotOpen {
			o.out--
		}
		s.state = slotDone
	}
	if o != nil {
		c.settled(o)
	}
	return nil
}

// settled moves the position of o after acknowledgements. The caller holds mu.
func (c *ordered) settled(o *tenure) {
	if o.claim.Lost() {
		return
	}
	c.advance(o)
	if o.drainBy > 0 && o.out == 0 {
		poke(c.look)
	}
}

// Release implements durable.Consumer.
func (c *ordered) Release(ds ...durable.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.back)
	for i := range ds {
		o := c.byClaim[ds[i].Claim]
		if o == nil {
			continue
		}
		s := o.window.find(parseNo(entryID(ds[i].Position)))
		if s == nil || s.state != slotOpen {
			continue
		}
		s.state = slotBack
		o.out--
		if o.drainBy == 0 {
			c.back = append(c.back, ds[i])
		} else if o.out == 0 {
			poke(c.look)
		}
	}
	if len(c.back) == before {
		return
	}
	slices.SortStableFunc(c.back, func(a, b durable.Delivery) int {
		return cmp.Or(
			cmp.Compare(a.Topic, b.Topic),
			cmp.Compare(a.Claim.Partition(), b.Claim.Partition()),
			parseNo(entryID(a.Position)).compare(parseNo(entryID(b.Position))),
		)
	})
	poke(c.again)
}
