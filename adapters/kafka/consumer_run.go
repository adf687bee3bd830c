package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

const rejoinPause = 250 * time.Millisecond

// run keeps the member in its group until it leaves: it joins whenever there is a reason to.
func (c *consumer) run() {
	for {
		err := c.round()
		var again <-chan time.Time // nil: only for a reason
		switch {
		case c.life.Err() != nil || errors.Is(err, sarama.ErrFencedInstancedId):
			return
		case errors.Is(err, sarama.ErrInconsistentGroupProtocol):
			c.fail(fmt.Errorf("kafka: group %q has members that do not know the strategy %s, give theirs that one too: %w: %w",
				c.group.Name, c.seat.strategy.Name(), durable.ErrUnsupported, err))
			continue
		case err == nil:
			c.recovered()
		case unseated(err):
			continue // for a new place, at once
		default:
			if !unsettled(err) {
				c.report(err)
			}
			again = time.After(rejoinPause)
		}
		select {
		case <-c.rejoin:
		case <-again:
		case <-c.life.Done():
			return
		}
	}
}

// round is one rebalance as this member sees it: it hands over what it must not keep, joins, and takes what it is
// given. Claims that stay are not disturbed.
func (c *consumer) round() error {
	c.mu.Lock()
	if c.fatal != nil {
		c.mu.Unlock()
		return c.rest()
	}
	select {
	case <-c.rejoin: // this round is for every reason so far
	default:
	}
	topics, wanted := c.topics, c.wanted
	gone := c.where(func(h *held) bool { return h.draining || !slices.Contains(topics, h.claim.Topic()) })
	c.mu.Unlock()
	c.handOver(gone)
	p, err := c.seat.join(topics, c.owned())
	if unseated(err) {
		c.unseat(err)
	}
	if err != nil {
		return err
	}
	c.extend(p.since)
	return c.settle(p, wanted)
}

// rest waits for the end of a member that cannot go on.
func (c *consumer) rest() error {
	<-c.life.Done()
	return c.life.Err()
}

// settle takes what is new in p and hands over what is not in it any more.
func (c *consumer) settle(p place, wanted int) error {
	fresh := partitionsOf{}
	c.mu.Lock()
	mine := c.ownedLocked()
	for topic, ps := range p.claims {
		for _, x := range ps {
			if !mine.has(topic, x) {
				fresh[topic] = append(fresh[topic], x)
			}
		}
	}
	revoked := c.where(func(h *held) bool { return !p.claims.has(h.claim.Topic(), int32(h.claim.Partition())) })
	c.counts = p.counts
	c.mu.Unlock()
	if err := c.saveStarts(); unsettled(err) || unseated(err) {
		return err
	} else if err != nil {
		c.report(err)
	}
	if err := c.begin(fresh, p.generation); err != nil {
		return err
	}
	c.mu.Lock()
	c.joined = wanted
	c.tell()
	c.mu.Unlock()
	if len(revoked) > 0 {
		c.handOver(revoked)
		poke(c.rejoin) // so that others get them
	}
	return nil
}

// begin starts the claims of fresh where the group is in them.
func (c *consumer) begin(fresh partitionsOf, generation int32) error {
	if len(fresh) == 0 {
		return nil
	}
	at, err := c.seat.stored(fresh)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, ps := range fresh {
		for _, p := range ps {
			h := newHeld(c, topic, p, generation, at[topic][p])
			if offset, ok := c.pending[topic][p]; ok && h.next < 0 {
				h.part.next, h.next = offset, offset
			}
			c.held = append(c.held, h)
			c.byClaim[h.claim] = h
			c.homeless = append(c.homeless, h)
			if c.closed {
				c.beginDrain(h)
			}
		}
	}
	poke(c.unread)
	return nil
}

// where are the claims for which is is true. The caller holds mu.
func (c *consumer) where(is func(*held) bool) []*held {
	var out []*held
	for _, h := range c.held {
		if is(h) {
			out = append(out, h)
		}
	}
	return out
}

func (c *consumer) owned() partitionsOf {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ownedLocked()
}

func (c *consumer) ownedLocked() partitionsOf {
	out := partitionsOf{}
	for _, h := range c.held {
		out[h.claim.Topic()] = append(out[h.claim.Topic()], int32(h.claim.Partition()))
	}
	return out
}

// unseat ends the member's claims because the group no longer knows it.
func (c *consumer) unseat(cause error) {
	c.seat.forget()
	n := c.loseAll(errors.Join(durable.ErrFenced, cause))
	if errors.Is(cause, sarama.ErrFencedInstancedId) {
		c.fail(fmt.Errorf("kafka: group %q: another member has the name %q: %w", c.group.Name, c.group.Member, errors.Join(durable.ErrFenced, cause)))
		return
	}
	if n > 0 {
		c.b.cfg.Logger.Warn("kafka: the claims were lost to the group", "group", c.group.Name, "claims", n, "error", cause)
	}
}

// growth looks for topics that were made again, and for new partitions of those that this member planned for.
func (c *consumer) growth() {
	tick := time.NewTicker(c.b.cfg.PartitionCheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.life.Done():
			return
		}
		c.review()
		c.mu.Lock()
		counts := c.counts
		c.mu.Unlock()
		for topic, n := range counts {
			ps, err := freshPartitions(c.client, topic)
			if err == nil && len(ps) != n {
				poke(c.rejoin)
				break
			}
		}
	}
}

// report makes Fetch return err once, and logs when trouble begins, or another right turns out to be missing.
func (c *consumer) report(err error) {
	if c.life.Err() != nil || errors.Is(err, context.Canceled) {
		return
	}
	err = translate(err)
	c.mu.Lock()
	missing := grantOf(err, opRead)
	first := !c.troubled || missing != "" && !slices.Contains(c.missing, missing)
	told := fmt.Errorf("kafka: group %q: %w", c.group.Name, err)
	if first {
		c.missing = append(c.missing, missing)
		c.troubled, c.trouble = true, told
	}
	if missing != "" {
		c.refusal = told
	}
	c.mu.Unlock()
	if first {
		poke(c.ready)
		c.b.cfg.Logger.Warn("kafka: consumer is in trouble", "group", c.group.Name, "error", err)
	}
}

func (c *consumer) recovered() {
	c.mu.Lock()
	was := c.troubled
	c.troubled, c.missing, c.refusal = false, nil, nil
	c.mu.Unlock()
	if was {
		c.b.cfg.Logger.Info("kafka: consumer has recovered", "group", c.group.Name)
	}
}

// fail ends the member: Fetch returns err from now on.
func (c *consumer) fail(err error) {
	c.mu.Lock()
	if c.fatal == nil {
		c.fatal = err
		c.tell()
	}
	c.mu.Unlock()
	poke(c.ready)
	poke(c.rejoin)
}
