package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dualstream/dualstream/durable"
)

var _ durable.Pauser = (*consumer)(nil)

// Fetch implements durable.Consumer.
func (c *consumer) Fetch(ctx context.Context, max int) ([]durable.Delivery, error) {
	if max < 1 {
		max = 1
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c.expire()
		again, raw, err := c.take(max)
		if err != nil {
			return nil, err
		}
		if len(again)+len(raw) > 0 {
			return c.decodeAll(again, raw), nil
		}
		select {
		case <-c.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// portion is a run of records of one claim.
type portion struct {
	claim  *durable.Claim
	of     string // incarnation of the topic
	counts tally
	recs   []rec
}

// take hands out at most max records: of each claim in turn what was released first, then what was read.
func (c *consumer) take(max int) (again []durable.Delivery, raw []portion, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, fmt.Errorf("kafka: fetch: %w", durable.ErrClosed)
	}
	if c.fatal != nil {
		return nil, nil, c.fatal
	}
	n := len(c.held)
	for i := range n {
		h := c.held[(c.turn+i)%n]
		if h.draining || h.paused || max == 0 {
			continue
		}
		k := min(max, len(h.back))
		for _, d := range h.back[:k] {
			_, offset, _ := parsePosition(d.Position)
			h.mixed = true
			h.out = append(h.out, offset)
		}
		again = append(again, h.back[:k]...)
		h.back = slices.Delete(h.back, 0, k)
		max -= k
		if recs := h.handOut(max); len(recs) > 0 {
			raw = append(raw, portion{h.claim, h.incarnation, h.counts, recs})
			if h.counts.times(recs[0].offset) > 0 {
				poke(c.commit) // that they are tried again
			}
			max -= len(recs)
		}
	}
	if n > 0 {
		c.turn = (c.turn + 1) % n
	}
	if len(again)+len(raw) == 0 && c.trouble != nil {
		err, c.trouble = c.trouble, nil
	}
	return again, raw, err
}

// handOut takes up to max records from the buffer. The consumer's mu is held.
func (h *held) handOut(max int) []rec {
	k := min(max, len(h.buffer)-h.head)
	if k == 0 {
		return nil
	}
	recs := slices.Clone(h.buffer[h.head : h.head+k])
	clear(h.buffer[h.head : h.head+k])
	h.head += k
	for _, r := range recs {
		h.out = append(h.out, r.offset)
		h.bytes -= len(r.Value)
	}
	h.next = recs[k-1].offset + 1
	poke(h.room.wake)
	return recs
}

func (c *consumer) decodeAll(again []durable.Delivery, raw []portion) []durable.Delivery {
	n := 0
	for _, p := range raw {
		n += len(p.recs)
	}
	ds := make([]durable.Delivery, 0, len(again)+n)
	ds = append(ds, again...)
	buf := make([]byte, 0, positionBytes*n)
	ends := make([]int, 0, n)
	for _, p := range raw {
		for _, r := range p.recs {
			buf = appendPosition(buf, int32(p.claim.Partition()), r.offset, p.of)
			ends = append(ends, len(buf))
		}
	}
	all, start, i := string(buf), 0, 0
	for _, p := range raw {
		var values strings.Builder // of the portion: its messages share memory in any case, that of their payloads
		values.Grow(headerBytes(p.recs))
		for _, r := range p.recs {
			d := c.b.decode(p.claim.Topic(), int32(p.claim.Partition()), r, &values)
			ds = append(ds, durable.Delivery{
				Message: d.msg, Topic: p.claim.Topic(), Position: durable.Position(all[start:ends[i]]), Claim: p.claim,
				Key: d.key, Attempt: 1 + p.counts.times(r.offset), StoredAt: r.at, DecodeErr: d.err, Size: d.size,
			})
			start, i = ends[i], i+1
		}
	}
	return ds
}

// Ack implements durable.Consumer.
func (c *consumer) Ack(_ context.Context, ds ...durable.Delivery) error {
	c.expire()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range ds {
		h := c.byClaim[d.Claim]
		if h == nil {
			c.late.Add(1)
			continue
		}
		_, offset, err := parsePosition(d.Position)
		if err != nil {
			return fmt.Errorf("kafka: ack: %w", err)
		}
		h.ack(offset)
	}
	return nil
}

// ack finishes everything handed out up to offset.
func (h *held) ack(offset int64) {
	if i := h.index(offset); i >= 0 {
		h.outHead += i + 1
		h.settle()
	}
}

// index is where offset stands in what is out, -1 where it does not.
func (h *held) index(offset int64) int {
	out := h.out[h.outHead:]
	if h.mixed {
		return slices.Index(out, offset)
	}
	if i, found := slices.BinarySearch(out, offset); found {
		return i
	}
	return -1
}

// settle gives finished memory back and tells who drains that nothing is out.
func (h *held) settle() {
	if h.outHead == len(h.out) {
		h.out, h.outHead, h.mixed = h.out[:0], 0, false
		if h.draining {
			select {
			case <-h.idle:
			default:
				close(h.idle)
			}
		}
		return
	}
	if h.outHead > 1024 && h.outHead*2 > len(h.out) {
		h.out = append(h.out[:0], h.out[h.outHead:]...)
		h.outHead = 0
	}
}

// Pause implements durable.Pauser.
func (c *consumer) Pause(claim *durable.Claim) { c.setPaused(claim, true) }

// Resume implements durable.Pauser.
func (c *consumer) Resume(claim *durable.Claim) { c.setPaused(claim, false) }

// Claims implements durable.Pauser.
func (c *consumer) Claims() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.held)
}

func (c *consumer) setPaused(claim *durable.Claim, paused bool) {
	c.mu.Lock()
	if h := c.byClaim[claim]; h != nil {
		h.paused = paused
	}
	c.mu.Unlock()
	if !paused {
		poke(c.ready)
	}
}

// Release implements durable.Consumer.
func (c *consumer) Release(ds ...durable.Delivery) {
	c.mu.Lock()
	for _, d := range ds {
		if h := c.byClaim[d.Claim]; h != nil {
			h.release(d)
		}
	}
	c.mu.Unlock()
	poke(c.ready)
}

func (h *held) release(d durable.Delivery) {
	_, offset, err := parsePosition(d.Position)
	if err != nil {
		return
	}
	i := h.index(offset)
	if i < 0 {
		return
	}
	h.out = slices.Delete(h.out, h.outHead+i, h.outHead+i+1)
	if h.draining {
		h.giveUp(d)
		h.settle()
		return
	}
	h.mixed = true
	at, _ := slices.BinarySearchFunc(h.back, offset, func(x durable.Delivery, o int64) int {
		_, xo, _ := parsePosition(x.Position)
		return int(min(max(xo-o, -1), 1))
	})
	h.back = slices.Insert(h.back, at, d)
	h.settle()
}
