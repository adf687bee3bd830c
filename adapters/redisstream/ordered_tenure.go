package redisstream

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// tenure is the ownership of a partition from the taking of its lease to its end. Fields without a note are guarded
// by mu of the member.
type tenure struct {
	*part
	claim    *durable.Claim // constant
	token    string         // constant
	epoch    int64          // constant
	deadline atomic.Int64   // monotonic time of the member, in nanoseconds, at which the claim is lost
	timer    *time.Timer    // constant; looks at deadline
	ended    chan struct{}  // constant; closed with the claim
	room     chan struct{}  // constant; 1: the window has room again

	window   window
	tries    int32         // starts of the next entry that is read, besides those in the journal
	journal  journal       // of entries that were not read yet
	started  entryNo       // the last that was fetched
	out      int           // fetched, neither acknowledged nor released
	drainBy  time.Duration // when what is out is given up; 0: not draining
	position entryNo       // of the finished prefix
	entries  int64         // up to position, -1: unknown
	dirty    bool          // position is not committed
	full     bool          // the reader waits for room
	stuck    entryNo       // the first of the window when it was last seen full
	stuckAt  time.Duration // since when it is the first
	told     bool          // that it stays was logged
	paused   bool
	aside    []durable.Delivery // what came while it was paused, to be fetched after it
	restart  bool               // the stream was made again: the position means nothing
}

// begin makes part owned. tries, journal, position and entries are those of the new tenure.
func (c *ordered) begin(o *tenure, deadline time.Duration) {
	o.claim = durable.NewClaim(context.Background(), o.topic, o.partition, o.epoch)
	o.ended, o.room = make(chan struct{}), make(chan struct{}, 1)
	o.deadline.Store(int64(deadline))
	o.claim.Guard(func() bool { return int64(c.since()) < o.deadline.Load() })
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.ctx.Err() != nil {
		o.leaving = o // for Close
		return
	}
	o.own, o.old = o, o.token
	c.byClaim[o.claim] = o
	c.stale = true
	o.timer = time.AfterFunc(deadline-c.since(), func() { c.expire(o) })
	from := o.position
	c.work.Go(func() { c.read(o, from) })
}

// lose ends the claim of o with cause; what was read under it is forgotten. The caller holds mu.
func (c *ordered) lose(o *tenure, cause error) {
	if o.own != o {
		return
	}
	o.own = nil
	o.free = c.since() + c.margin()
	o.timer.Stop()
	o.claim.Lose(cause)
	close(o.ended)
	delete(c.byClaim, o.claim)
	c.stale = true
	poke(c.look)
}

// fence ends the claim of o because the server says that the lease is another's.
func (c *ordered) fence(o *tenure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.own != o {
		return
	}
	c.lose(o, durable.ErrFenced)
	c.log.Warn("redisstream: another member owns the partition", "topic", o.topic, "partition", o.partition)
}

// expire ends the claim of o at its deadline, unless that was put off.
func (c *ordered) expire(o *tenure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.own != o {
		return
	}
	if rest := time.Duration(o.deadline.Load()) - c.since(); rest > 0 && !o.claim.Lost() {
		o.timer.Reset(rest)
		return
	}
	c.lapse(o)
}

// lapse ends the claim of o because its deadline has passed. The caller holds mu.
func (c *ordered) lapse(o *tenure) {
	c.lose(o, durable.ErrFenced)
	c.log.Warn("redisstream: the lease could not be renewed in time, the partition is given up",
		"topic", o.topic, "partition", o.partition)
}

// prolong notes that the lease of o was renewed, unless that came too late.
func (c *ordered) prolong(o *tenure, deadline time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case o.own != o:
	case o.claim.Lost():
		c.lapse(o)
	default:
		o.deadline.Store(int64(deadline))
		o.timer.Reset(deadline - c.since())
	}
}

// drain begins the hand-over of o: it ends when nothing is out, or after the time of a lease. The caller holds mu.
func (c *ordered) drain(o *tenure) {
	if o.drainBy > 0 {
		return
	}
	o.drainBy = c.since() + c.b.leaseTTL()
	o.claim.Drain()
}

// advance takes the finished prefix off the window. The caller holds mu.
func (c *ordered) advance(o *tenure) {
	n, last := o.window.advance()
	if n == 0 {
		return
	}
	o.position = last
	if o.entries >= 0 {
		o.entries += int64(n)
	}
	if !o.dirty {
		o.dirty = true
		poke(c.kick)
	}
	if o.full && o.window.len() <= mostBehind/2 {
		o.full = false
		poke(o.room)
	}
}

// read is the last entry that was read, or the position. The caller holds mu.
func (o *tenure) read() entryNo {
	if n := len(o.window.slots); n > 0 {
		return o.window.slots[n-1].no
	}
	return o.position
}

// commitCall moves the position to where o is. The caller holds mu.
func (c *ordered) commitCall(o *tenure) call {
	return call{commitScript, o.keys, []any{o.token, c.group.Name, formatID(o.position.ms, o.position.seq), o.entries}}
}

// endCall gives the lease up, with the last position and what the next owner has to know. The caller holds mu.
func (c *ordered) endCall(o *tenure) call {
	id, left := formatID(o.position.ms, o.position.seq), ""
	if o.restart {
		id = ""
	} else {
		j := o.journal
		if j == nil {
			j = journal{}
		}
		o.window.journal(j, o.started)
		left = j.text(o.position)
	}
	return call{endScript, o.keys, []any{o.token, c.group.Name, id, o.entries, left}}
}
