package redisstream

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
)

// read reads ahead under o, behind from, until its claim ends. A plain XREAD takes nothing, so that a member that lost
// its lease meanwhile does no harm. It blocks on a connection of its own.
func (c *ordered) read(o *tenure, from entryNo) {
	session := c.session(o)
	defer c.forget(session)
	defer c.refused.over(o)
	wait, faults, size := faultFirst, 0, 0
	var probed time.Duration
	for {
		n := c.awaitRoom(o, size)
		if n == 0 {
			return
		}
		probe := c.since()-probed >= c.b.leaseTTL()/3
		if probe {
			probed = c.since()
		}
		raw, err := c.xread(session, o, from, n, probe)
		var es []entry
		if err == nil && raw != nil {
			var byKey map[string][]entry
			byKey, err = c.b.rawStreams(raw)
			es = byKey[o.key]
		}
		if err == nil {
			if faults > 0 {
				c.readFault(-1, nil)
				c.refused.over(o)
			}
			wait, faults = faultFirst, 0
			if len(es) > 0 {
				size = len(raw) / len(es)
				from = parseNo(es[len(es)-1].id)
				if !c.push(o, es) {
					return
				}
			}
			continue
		}
		if isEnded(o.ended) || c.ctx.Err() != nil {
			if faults > 0 {
				c.readFault(-1, nil)
			}
			return
		}
		if faults++; faults == 1 {
			c.readFault(1, err)
		}
		if c.refused.note(o, err) {
			poke(c.again)
		}
		c.pause(wait)
		wait = min(2*wait, faultMost)
	}
}

// readFault notes that a reader begins to fail (1) or ends to (-1). The first and the last are logged.
func (c *ordered) readFault(change int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faulty += change
	switch {
	case change > 0 && c.faulty == 1:
		c.log.Warn("redisstream: reading failed, trying again", "error", err)
	case change < 0 && c.faulty == 0 && c.ctx.Err() == nil:
		c.log.Info("redisstream: reading again")
	}
}

// xread is the reply of a read that waits for new entries, nil where there are none. probe has a write without effect go
// before it, whose refusal by a server that became a replica ends the connection: a replica goes on serving reads.
func (c *ordered) xread(session *rediskit.Session, o *tenure, from entryNo, n int, probe bool) ([]byte, error) {
	timeout := c.b.cfg.CommandTimeout()
	if probe {
		_, err := session.Do(c.ctx, rediskit.AppendCommand(nil, "hdel", o.groupKey(c.group.Name), "none"), timeout)
		if err != nil && strings.HasPrefix(err.Error(), "READONLY") {
			return nil, err
		}
	}
	raw, err := session.Do(c.ctx, rediskit.AppendCommand(nil, "xread", "count", strconv.Itoa(n),
		"block", strconv.FormatInt(orderedBlock.Milliseconds(), 10),
		"streams", o.key, formatID(from.ms, from.seq)), timeout+orderedBlock)
	if err != nil || bytes.HasPrefix(raw, nothing) {
		return nil, err
	}
	return raw, nil
}

// nothing is the reply of a read that has waited in vain.
var nothing = []byte("*-1\r\n")

// session is a connection for the reader of o, which Close cuts.
func (c *ordered) session(o *tenure) *rediskit.Session {
	s := c.b.cfg.SessionAt(o.key)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading[s] = struct{}{}
	if c.ctx.Err() != nil {
		s.Close()
	}
	return s
}

// forget closes the connection of a reader.
func (c *ordered) forget(s *rediskit.Session) {
	s.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.reading, s)
}

// awaitRoom waits until something may be read and tells how much; size is the expected number of bytes of an entry.
// It is 0 at the end of the claim.
func (c *ordered) awaitRoom(o *tenure, size int) int {
	for {
		c.mu.Lock()
		room := mostBehind - o.window.len()
		o.full = room <= 0
		full, paused := o.full, o.paused
		c.mu.Unlock()
		if isEnded(o.ended) {
			return 0
		}
		if !full && !paused {
			return few(min(readCount, room), size)
		}
		if full {
			poke(c.look) // the keeper tells what is waited for
		}
		select {
		case <-o.room:
		case <-o.ended:
		}
	}
}

func isEnded(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// push gives entries to Fetch, except those that the owner before has finished; false at the end of the claim.
func (c *ordered) push(o *tenure, es []entry) bool {
	ds := make([]durable.Delivery, len(es))
	nos := make([]entryNo, len(es))
	for i, e := range es {
		ds[i] = c.b.delivery(o.place, o.claim, e)
		nos[i] = parseNo(e.id)
	}
	c.mu.Lock()
	if o.own != o {
		c.mu.Unlock()
		return false
	}
	open := ds[:0]
	for i, no := range nos {
		s := slot{no: no, attempt: 1}
		if n, left := o.journal[no]; left {
			delete(o.journal, no)
			s.attempt = n + 1
			if n == journalDone {
				s.attempt, s.state = 1, slotDone
			}
		}
		if s.state == slotOpen {
			s.attempt += max(o.tries-1, 0)
			o.tries = 1
			ds[i].Attempt = int(s.attempt)
			open = append(open, ds[i])
		}
		o.window.add(s)
	}
	c.advance(o)
	c.mu.Unlock()
	if len(open) == 0 {
		return true
	}
	select {
	case c.batches <- batch{o, open}:
		return true
	case <-o.ended:
		return false
	}
}

// commits writes positions until the membership ends; Close writes the last ones.
func (c *ordered) commits() {
	wait, faults := faultFirst, 0
	for {
		select {
		case <-c.kick:
		case <-c.failed:
			return
		case <-c.ctx.Done():
			return
		}
		err := c.commit()
		if err == nil {
			if faults > 0 {
				c.log.Info("redisstream: committing again", "failures", faults)
			}
			wait, faults = faultFirst, 0
			c.refused.over("commits")
			continue
		}
		if c.ctx.Err() != nil {
			return
		}
		if c.refused.note("commits", err) {
			poke(c.again)
		}
		if faults++; faults == 1 {
			c.log.Warn("redisstream: committing failed, trying again", "error", err)
		}
		if !c.pause(wait) {
			return
		}
		poke(c.kick)
		wait = min(2*wait, faultMost)
	}
}

// commit writes the positions that moved in one round trip. A refusal ends the claim.
func (c *ordered) commit() error {
	ctx, cancel := context.WithTimeout(c.ctx, max(c.b.leaseTTL(), time.Second))
	defer cancel()
	var moved []*tenure
	var calls []call
	c.mu.Lock()
	for _, p := range c.parts {
		if o := p.own; o != nil && o.dirty && !o.restart {
			o.dirty = false
			moved = append(moved, o)
			calls = append(calls, c.commitCall(o))
		}
	}
	c.mu.Unlock()
	var failed error
	for i, cmd := range c.b.runAll(ctx, calls) {
		err := cmd.Err()
		switch {
		case err == nil:
			continue
		case isFenced(err):
			c.fence(moved[i])
			continue
		case vanished(err): // the keeper makes the group again; a later commit follows
			c.renewNow()
		default:
			failed = err
		}
		c.mu.Lock()
		moved[i].dirty = true
		c.mu.Unlock()
	}
	return failed
}
