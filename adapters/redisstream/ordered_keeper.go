package redisstream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// keeper is what the goroutine that holds the leases knows. Times are the member's monotonic ones.
type keeper struct {
	born      string
	targets   map[spot]string // who is to own what
	nextBeat  time.Duration
	nextRenew time.Duration
	holdUntil time.Duration // no partition is taken before
	waiting   bool          // a partition that is ours is owned by another
	faults    int
	quiet     time.Duration // until then it is not logged that groups are made again
}

// keep is the keeper's loop.
func (c *ordered) keep() {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-c.look:
		case <-c.failed:
			return
		case <-c.ctx.Done():
			return
		}
		t.Reset(c.tend())
	}
}

// tick is the time between two looks at the members.
func (c *ordered) tick() time.Duration { return min(c.b.leaseTTL()/3, beatMost) }

// tend does what is due and returns when to look again.
func (c *ordered) tend() time.Duration {
	k := &c.keeper
	ctx, cancel := context.WithTimeout(c.ctx, c.b.leaseTTL()/3)
	defer cancel()
	err := c.handOver(ctx)
	c.mu.Lock()
	missing := c.missing
	c.missing = false
	c.mu.Unlock()
	again := k.faults > 0 // all that may have failed
	if missing || again || c.since() >= k.nextRenew {
		k.nextRenew = c.since() + c.b.leaseTTL()/3
		err = errors.Join(err, c.renew(ctx))
	}
	c.mu.Lock()
	stale := c.stale
	c.mu.Unlock()
	if stale || again || c.since() >= k.nextBeat {
		err = errors.Join(err, c.beat(ctx))
	}
	c.giveUp()
	err = errors.Join(err, c.handOver(ctx), c.take(ctx))
	c.tell(err)
	return c.nextLook()
}

// tell logs when the server becomes unreachable, and when it is back.
func (c *ordered) tell(err error) {
	k := &c.keeper
	switch {
	case c.ctx.Err() != nil:
	case err != nil:
		if c.refused.note("leases", err) {
			poke(c.again)
		}
		if k.faults++; k.faults == 1 {
			c.log.Warn("redisstream: the leases of the member cannot be looked after, trying again", "error", err)
		}
	case k.faults > 0 && !k.waiting: // for what was not asked for again
		c.refused.over("leases")
		c.log.Info("redisstream: the leases of the member are looked after again", "failures", k.faults)
		k.faults = 0
	}
}

func (c *ordered) nextLook() time.Duration {
	k := &c.keeper
	now := c.since()
	next := min(k.nextBeat, k.nextRenew)
	if k.waiting || k.faults > 0 {
		next = min(next, now+min(max(c.b.leaseTTL()/20, wantLeast), wantMost))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.parts {
		if p.own != nil && p.own.drainBy > 0 {
			next = min(next, p.own.drainBy)
		}
		if p.leaving != nil {
			next = min(next, max(p.free, now+wantLeast))
		}
	}
	return max(next-now, time.Millisecond)
}

// beat shows the member to the others and computes who is to own what.
func (c *ordered) beat(ctx context.Context) error {
	k := &c.keeper
	k.nextBeat = c.since() + c.tick()
	err := c.reshape(ctx)
	c.mu.Lock()
	h, topics := c.holding()
	c.stale = false
	c.mu.Unlock()
	r, beatErr := c.b.beat(ctx, c.group.Name, c.id, c.b.leaseTTL(), h)
	if beatErr != nil {
		k.nextBeat = c.since() + min(c.tick(), wantMost)
		return errors.Join(err, beatErr)
	}
	now := c.since()
	switch {
	case k.born != "" && r.born != k.born: // others may hold leases that the server has forgotten
		c.log.Warn("redisstream: the members of the group vanished from the server, which forgot what it stored")
		k.holdUntil = now + c.b.leaseTTL()
	case r.was == lapsed: // the server or this member stood still: let the others show themselves
		k.holdUntil = max(k.holdUntil, now+c.tick())
	}
	k.born = r.born
	k.targets = assign(topics, r.peers)
	if r.next > 0 { // a member that died is followed at once
		k.nextBeat = min(k.nextBeat, now+r.next+5*time.Millisecond)
	}
	return err
}

// holding is what the others are told, and the topics with their numbers of partitions. The caller holds mu.
func (c *ordered) holding() (holding, map[string]int) {
	h, topics := make(holding, len(c.topics)), make(map[string]int, len(c.topics))
	for _, p := range c.parts {
		if !p.gone {
			topics[p.topic] = p.of
			if h[p.topic] == nil {
				h[p.topic] = []int{}
			}
		}
		if p.own != nil && !p.gone {
			h[p.topic] = append(h[p.topic], p.partition)
		}
	}
	return h, topics
}

// reshape notices topics that were made again with another number of partitions. New partitions start at their oldest.
func (c *ordered) reshape(ctx context.Context) error {
	c.mu.Lock()
	have := make(map[string]int, len(c.topics))
	for _, p := range c.parts {
		if !p.gone {
			have[p.topic] = p.of
		}
	}
	c.mu.Unlock()
	var errs []error
	for topic, of := range have {
		n, err := c.b.partitions(ctx, topic)
		if err != nil || n == of {
			errs = append(errs, err)
			continue
		}
		ps, err := c.enroll(ctx, topic, durable.Oldest())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c.log.Warn("redisstream: the topic has another number of partitions", "topic", topic, "was", of, "is", n)
		c.mu.Lock()
		for _, p := range c.parts {
			p.gone = p.gone || p.topic == topic
		}
		for _, p := range ps {
			c.add(p)
		}
		c.mu.Unlock()
	}
	return errors.Join(errs...)
}

// giveUp drains what is to be owned by others, and forgets partitions that are gone.
func (c *ordered) giveUp() {
	k := &c.keeper
	c.mu.Lock()
	defer c.mu.Unlock()
	for at, p := range c.parts {
		switch {
		case p.own == nil && p.gone && p.leaving == nil:
			delete(c.parts, at)
		case p.own == nil:
		case p.gone, p.own.restart, k.targets != nil && k.targets[spot{p.topic, p.partition}] != c.id:
			c.drain(p.own)
		case p.own.full:
			c.tellStuck(p.own)
		}
	}
}

// tellStuck logs when a full window has not moved for half of a lease. The caller holds mu.
func (c *ordered) tellStuck(o *tenure) {
	first := o.window.slots[o.window.head].no
	switch now := c.since(); {
	case o.stuck != first:
		o.stuck, o.stuckAt, o.told = first, now, false
	case !o.told && now >= o.stuckAt+c.b.leaseTTL()/2:
		o.told = true
		c.log.Warn("redisstream: the partition waits for one unfinished delivery", "topic", o.topic,
			"partition", o.partition, "position", formatID(first.ms, first.seq), "behind it", o.window.len())
	}
}

// handOver gives the leases up of what is drained. What is not drained in time is lost, and its lease is given up a
// little later, when handlers that heed their contexts have returned.
func (c *ordered) handOver(ctx context.Context) error {
	now := c.since()
	var over []*tenure
	var calls []call
	c.mu.Lock()
	for _, p := range c.parts {
		c.endDrain(p, now)
		if o := p.leaving; o != nil && now >= p.free {
			over = append(over, o)
			calls = append(calls, c.endCall(o))
		}
	}
	c.mu.Unlock()
	var errs []error
	for i, cmd := range c.b.runAll(ctx, calls) {
		o, err := over[i], cmd.Err()
		if err != nil {
			errs = append(errs, fmt.Errorf("redisstream: give up %q: %w", o.key, unavailable(ctx, err)))
			if int64(now) < o.deadline.Load() { // tried again while the lease lasts
				continue
			}
		}
		c.mu.Lock()
		o.leaving = nil
		c.mu.Unlock()
	}
	return errors.Join(errs...)
}

// endDrain ends the tenure of p when it is drained, or when the time for that is over. The caller holds mu.
func (c *ordered) endDrain(p *part, now time.Duration) {
	o := p.own
	if o == nil || o.drainBy == 0 || o.out > 0 && now < o.drainBy {
		return
	}
	left := o.out
	c.lose(o, durable.ErrFenced)
	p.leaving = o
	if left == 0 {
		p.free = 0
		return
	}
	c.log.Warn("redisstream: handlers still run at the end of the time to drain, their claim is lost",
		"topic", o.topic, "partition", o.partition, "handlers", left)
}
