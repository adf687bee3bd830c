package redisstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// renew prolongs every lease in one round trip.
func (c *ordered) renew(ctx context.Context) error {
	var owned []*tenure
	var calls []call
	c.mu.Lock()
	for _, p := range c.parts {
		if o := p.own; o != nil && o.claim.Lost() {
			c.lapse(o)
		} else if o != nil {
			id := formatID(o.position.ms, o.position.seq)
			owned = append(owned, o)
			calls = append(calls, call{renewScript, o.keys, []any{
				o.token, c.group.Name, c.b.leaseTTL().Milliseconds(), o.epoch, id, o.entries,
			}})
		}
	}
	c.mu.Unlock()
	begun := c.since()
	var errs []error
	for i, cmd := range c.b.runAll(ctx, calls) {
		o := owned[i]
		reply, err := cmd.Int64Slice()
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("redisstream: renew the lease of %q: %w", o.key, unavailable(ctx, err)))
			c.keeper.nextRenew = min(c.keeper.nextRenew, c.since()+wantMost)
			continue
		case reply[0] == 0:
			c.fence(o)
			continue
		case reply[0] == 3:
			c.fail(otherOrdering(c.group, o.topic))
			continue
		}
		c.prolong(o, begun+c.b.leaseTTL()-c.margin())
		if reply[0] == 2 {
			err = c.remake(ctx, o)
		} else if len(reply) > 2 {
			c.recount(o, calls[i].args[4].(string), reply[2], reply[1])
		}
		if errs = append(errs, err); err == nil {
			c.commitAgain(o)
		}
	}
	return errors.Join(errs...)
}

// commitAgain has the position of o committed where that found no group, which is there now, whoever made it.
func (c *ordered) commitAgain(o *tenure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.dirty {
		poke(c.kick)
	}
}

// renewNow has the keeper renew at once, which finds groups that are gone.
func (c *ordered) renewNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missing = true
	poke(c.look)
}

// recount notes how many entries there are up to id, the end of the stream, of which missed were trimmed unread.
func (c *ordered) recount(o *tenure, id string, entries, missed int64) {
	c.mu.Lock()
	if o.own == o && formatID(o.position.ms, o.position.seq) == id {
		o.entries = entries
	}
	c.mu.Unlock()
	if missed > 0 {
		c.trimmed(o.place, missed)
	}
}

// trimmed reports n entries that were trimmed before the group read them, as the group's policy says.
func (c *ordered) trimmed(p place, n int64) {
	if c.group.OnExpired == durable.ExpiredOldest {
		c.log.Warn("redisstream: entries were trimmed unread, the group goes on behind them",
			"topic", p.topic, "partition", p.partition, "entries", n)
		return
	}
	c.fail(fmt.Errorf("redisstream: group %q, topic %q, partition %d: %d entries were trimmed unread: %w",
		c.group.Name, p.topic, p.partition, n, durable.ErrPositionExpired))
}

// tellRemade logs that groups are made again, once for all partitions.
func (c *ordered) tellRemade(p place) {
	k := &c.keeper
	if now := c.since(); now >= k.quiet {
		c.log.Warn("redisstream: the group vanished and is made again", "topic", p.topic, "partition", p.partition)
		k.quiet = now + 2*c.b.leaseTTL()
	}
}

// remake makes the group of an owned partition again. Where its stream was made again, too, the tenure ends, and the
// next one begins at the oldest entry.
func (c *ordered) remake(ctx context.Context, o *tenure) error {
	c.tellRemade(o.place)
	c.mu.Lock()
	before := o.read()
	c.mu.Unlock()
	info, _, err := c.b.info(ctx, o.key)
	if err != nil {
		return fmt.Errorf("redisstream: stream of %q: %w", o.topic, err)
	}
	c.mu.Lock()
	id := formatID(o.position.ms, o.position.seq)
	restart := compareIDs(info.LastGeneratedID, id) < 0
	if restart && o.read() != before { // since the server was asked: perhaps of a stream that it did not have then
		c.mu.Unlock()
		c.renewNow()
		return nil
	}
	o.entries, o.restart = -1, restart
	if restart {
		id = beginning
		c.drain(o) // what is read from now on is the next tenure's to hand out
	}
	c.mu.Unlock()
	err = c.b.enrollAt(ctx, c.group, o.place, id)
	if errors.Is(err, ErrOrdering) {
		c.fail(err)
	}
	return err
}

// take takes the leases of the partitions that are ours.
func (c *ordered) take(ctx context.Context) error {
	k := &c.keeper
	now := c.since()
	k.waiting = false
	if now < k.holdUntil {
		k.waiting = true
		return nil
	}
	var wanted []*part
	c.mu.Lock()
	for _, p := range c.parts {
		if p.own != nil || p.leaving != nil || p.gone || k.targets[spot{p.topic, p.partition}] != c.id {
			continue
		}
		if now < p.free {
			k.waiting = true
			continue
		}
		wanted = append(wanted, p)
	}
	c.mu.Unlock()
	calls := make([]call, len(wanted))
	for i, p := range wanted {
		if p.token == "" {
			p.token = c.id + ":" + rand.Text()
		}
		calls[i] = call{ownScript, p.keys, []any{p.token, c.group.Name, c.b.leaseTTL().Milliseconds(), p.epoch, p.old}}
	}
	var errs []error
	for i, cmd := range c.b.runAll(ctx, calls) {
		reply, err := cmd.Slice()
		if err == nil {
			err = c.taken(ctx, wanted[i], reply, now)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("redisstream: take the lease of %q: %w", wanted[i].key, unavailable(ctx, err)))
		}
	}
	return errors.Join(errs...)
}

// taken reads what ownScript replied to a call that was made at begun.
func (c *ordered) taken(ctx context.Context, p *part, reply []any, begun time.Duration) error {
	first, ok := reply[0].(int64)
	switch {
	case ok && len(reply) == 1 && first == 0:
		c.keeper.waiting = true
		return nil
	case ok && len(reply) == 1:
		c.keeper.waiting = true
		return c.enrollAgain(ctx, p)
	case len(reply) != 6:
		return fmt.Errorf("a reply of %d elements", len(reply))
	}
	at, ok1 := reply[1].(string)
	entries, ok2 := reply[2].(int64)
	tries, ok3 := reply[3].(int64)
	left, ok4 := reply[4].(string)
	lost, ok5 := reply[5].(int64)
	if !slices.Equal([]bool{ok, ok1, ok2, ok3, ok4, ok5}, []bool{true, true, true, true, true, true}) {
		return errors.New("a reply of other types")
	}
	o := &tenure{
		part: p, token: p.token, epoch: first, tries: int32(tries), position: parseNo(at), entries: entries,
	}
	o.journal = parseJournal(left, o.position)
	p.token, p.epoch = "", first
	if lost > 0 {
		o.entries += lost
		c.trimmed(p.place, lost)
	}
	c.begin(o, begun+c.b.leaseTTL()-c.margin())
	return nil
}

// enrollAgain makes the group of a partition that nobody owns again: where its last owner left it, or began, as long as
// the stream is the same. A group of the other ordering ends the membership.
func (c *ordered) enrollAgain(ctx context.Context, p *part) error {
	c.tellRemade(p.place)
	kept, err := c.b.control.HMGet(ctx, p.groupKey(c.group.Name), "at", "left").Result()
	if err != nil {
		return unavailable(ctx, err)
	}
	info, _, err := c.b.info(ctx, p.key)
	if err != nil {
		return err
	}
	id := beginning
	for _, field := range kept {
		text, _ := field.(string)
		at, _, _ := strings.Cut(text, " ") // a journal begins with its position
		if _, _, ok := parseID(at); ok && compareIDs(id, at) < 0 && compareIDs(at, info.LastGeneratedID) <= 0 {
			id = at
		}
	}
	err = c.b.enrollAt(ctx, c.group, p.place, id)
	if errors.Is(err, ErrOrdering) {
		c.fail(err)
	}
	return err
}
