package kafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

const (
	claimBuffer = 2048    // records per claim that wait for Fetch
	claimBytes  = 8 << 20 // and their payloads; one batch of the pump may go beyond
	pumpBatch   = 256     // records that the pump moves at once
)

// held is a claim of this member with what was read from it. The consumer's mu guards it below claim.
type held struct {
	claim    *durable.Claim
	session  sarama.ConsumerGroupSession
	draining bool
	buffer   []*sarama.ConsumerMessage // read and not handed out; from head
	head     int
	bytes    int                // payloads from head
	back     []durable.Delivery // released, handed out again before the buffer
	out      []int64            // offsets handed out and not finished, in fetch order; from outHead
	outHead  int
	mixed    bool          // out is not ascending, because something was handed out again
	lowest   int64         // lowest offset given up while draining, which the next owner starts at; -1: none
	next     int64         // offset after the newest one handed out; -1 before the first
	room     chan struct{} // one pending wake-up of the pump
	idle     chan struct{} // closed when draining and nothing is out
}

func newHeld(c *consumer, session sarama.ConsumerGroupSession, topic string, partition int32) *held {
	return &held{
		claim:   durable.NewClaim(c.claims, topic, int(partition), int64(session.GenerationID())),
		session: session, next: -1, lowest: -1, room: make(chan struct{}, 1), idle: make(chan struct{}),
	}
}

// Setup implements sarama.ConsumerGroupHandler: it commits the starts that could not be committed from outside.
func (c *consumer) Setup(session sarama.ConsumerGroupSession) error {
	c.recovered()
	c.mu.Lock()
	pending := c.pending
	c.pending = nil
	c.mu.Unlock()
	for topic, ps := range pending {
		for p, offset := range ps {
			session.MarkOffset(topic, p, offset, "")
		}
	}
	if len(pending) > 0 {
		session.Commit()
	}
	return nil
}

// Cleanup implements sarama.ConsumerGroupHandler.
func (c *consumer) Cleanup(sarama.ConsumerGroupSession) error { return nil }

// ConsumeClaim implements sarama.ConsumerGroupHandler. It returns when nothing of the claim is being handled any
// more, because returning earlier would run handlers twice, and sarama has closed the claim.
func (c *consumer) ConsumeClaim(session sarama.ConsumerGroupSession, src sarama.ConsumerGroupClaim) error {
	h := newHeld(c, session, src.Topic(), src.Partition())
	c.mu.Lock()
	c.held = append(c.held, h)
	c.byClaim[h.claim] = h
	if c.assignment != nil && !slices.Contains(c.assignment[src.Topic()], src.Partition()) {
		c.beginDrain(h) // it was moved while it started
	}
	c.mu.Unlock()
	c.pump(h, src)
	c.drain(h)
	c.finish(h)
	for range src.Messages() {
		// a return before sarama closes the claim would end the session, and with it the member's other claims
	}
	return nil
}

// pump moves records from sarama into the buffer until the claim must be given up.
func (c *consumer) pump(h *held, src sarama.ConsumerGroupClaim) {
	batch := make([]*sarama.ConsumerMessage, 0, pumpBatch)
	for {
		batch = batch[:0]
		select {
		case m, ok := <-src.Messages():
			if !ok {
				return
			}
			batch = append(batch, m)
		case <-h.claim.Draining():
			return
		case <-h.session.Context().Done():
			return
		}
		open := true
		for open && len(batch) < pumpBatch {
			select {
			case m, ok := <-src.Messages():
				open = ok
				if ok {
					batch = append(batch, m)
				}
				continue
			default:
			}
			break
		}
		if !c.put(h, batch) || !open {
			return
		}
	}
}

// put appends batch to the buffer, waiting for room. False: the claim must be given up.
func (c *consumer) put(h *held, batch []*sarama.ConsumerMessage) bool {
	for {
		c.mu.Lock()
		if len(h.buffer)-h.head < claimBuffer && h.bytes < claimBytes {
			if h.head > 0 && h.head*2 >= len(h.buffer) {
				n := copy(h.buffer, h.buffer[h.head:])
				clear(h.buffer[n:])
				h.buffer, h.head = h.buffer[:n], 0
			}
			h.buffer = append(h.buffer, batch...)
			for _, m := range batch {
				h.bytes += len(m.Value)
			}
			c.mu.Unlock()
			c.wake()
			return true
		}
		c.mu.Unlock()
		select {
		case <-h.room:
		case <-h.claim.Draining():
			return false
		case <-h.session.Context().Done():
			return false
		}
	}
}

// drain stops handing out and waits until what was handed out is finished, the time for it is over or the
// ownership is lost.
func (c *consumer) drain(h *held) {
	c.mu.Lock()
	c.beginDrain(h)
	c.mu.Unlock()
	timer := time.NewTimer(c.b.cfg.RebalanceTimeout * 3 / 4)
	defer timer.Stop()
	ended := h.session.Context().Done()
	for {
		select {
		case <-h.idle:
			return
		case <-timer.C:
			return
		case <-c.force:
			return
		case <-ended:
			if lostCause(context.Cause(h.session.Context())) != nil {
				return
			}
			ended = nil // an orderly end waits for the handlers
		}
	}
}

// beginDrain is called with mu held.
func (c *consumer) beginDrain(h *held) {
	if h.draining {
		return
	}
	h.draining = true
	for _, d := range h.back {
		_, h.lowest, _ = parsePosition(d.Position) // ascending: the first one counts
		break
	}
	h.buffer, h.head, h.bytes, h.back = nil, 0, 0, nil
	h.claim.Drain()
	if h.outHead == len(h.out) {
		close(h.idle)
	}
}

// finish ends the claim and writes its acks.
func (c *consumer) finish(h *held) {
	c.mu.Lock()
	delete(c.byClaim, h.claim)
	for i, x := range c.held {
		if x == h {
			c.held = append(c.held[:i:i], c.held[i+1:]...)
			break
		}
	}
	c.mu.Unlock()
	cause := lostCause(context.Cause(h.session.Context()))
	h.claim.Lose(cause)
	if cause == nil {
		h.session.Commit()
	}
}

// lostCause is the error by which a session ended without a hand-over, nil otherwise.
func lostCause(cause error) error {
	for _, lost := range []error{
		sarama.ErrSessionHeartbeatFailed, sarama.ErrRebalanceTimedOut, sarama.ErrUnknownMemberId,
		sarama.ErrIllegalGeneration, sarama.ErrFencedInstancedId,
	} {
		if errors.Is(cause, lost) {
			return errors.Join(durable.ErrFenced, cause)
		}
	}
	return nil
}

// assigned drains the claims that are not in the member's new assignment. sarama calls it before it revokes them.
func (c *consumer) assigned(topics map[string][]int32) {
	assignment := map[string][]int32{}
	for topic, ps := range topics {
		assignment[topic] = slices.Clone(ps) // sarama sorts its own
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.assignment = assignment
	for _, h := range c.held {
		if !slices.Contains(assignment[h.claim.Topic()], int32(h.claim.Partition())) {
			c.beginDrain(h)
		}
	}
}
