package redisstream

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
)

const (
	faultFirst = 100 * time.Millisecond
	faultMost  = 5 * time.Second
)

// active is a stream with the claim under which it is read now.
type active struct {
	*stream
	claim *durable.Claim
	adopt bool
}

// read is the reader's loop: it survives every fault of the connection and the loss of the group's state.
func (c *consumer) read() {
	defer func() { _ = c.blocking.Close() }()
	wait, faults, made := faultFirst, 0, false
	nextClaim := time.Now()
	for c.ctx.Err() == nil {
		err := c.readOnce(&nextClaim)
		if err == nil {
			if faults > 0 {
				c.log.Info("redisstream: reading again", "group", c.group.Name, "failures", faults)
			}
			wait, faults = faultFirst, 0
			continue
		}
		if c.ctx.Err() != nil {
			return
		}
		c.readoptAll()
		if noGroup(err) {
			if !made {
				c.log.Warn("redisstream: the group vanished and is made again at the oldest entry", "group", c.group.Name, "error", err)
			}
			made = true
			if err = c.remake(); err == nil {
				continue
			}
		}
		if faults++; faults == 1 {
			c.log.Warn("redisstream: reading failed, trying again", "group", c.group.Name, "error", err)
		}
		if !c.pause(wait) {
			return
		}
		wait = min(2*wait, faultMost)
	}
}

func noGroup(err error) bool { return strings.Contains(err.Error(), "NOGROUP") }

// readoptAll has the pending entries looked at again: the reply of a failed read may be lost.
func (c *consumer) readoptAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.streams {
		s.adopt = true
	}
}

// remake makes the groups that vanished.
func (c *consumer) remake() error {
	for _, a := range c.actives() {
		if err := c.b.enroll(c.ctx, c.group, a.place, durable.Oldest()); err != nil {
			return err
		}
	}
	return nil
}

// actives is the streams whose claim is held.
func (c *consumer) actives() []active {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]active, 0, len(c.streams))
	for _, s := range c.streams {
		if s.claim != nil {
			out = append(out, active{s, s.claim, s.adopt})
		}
	}
	return out
}

// readOnce reads once from every stream: first what is pending, then what is new.
func (c *consumer) readOnce(nextClaim *time.Time) error {
	streams := c.actives()
	if len(streams) == 0 {
		c.pause(readBlock)
		return nil
	}
	for _, a := range streams {
		if a.adopt {
			if err := c.adoptPending(a); err != nil {
				return err
			}
		}
	}
	if now := time.Now(); !now.Before(*nextClaim) {
		for _, a := range streams {
			if err := c.claimIdle(a); err != nil {
				return err
			}
		}
		*nextClaim = now.Add(min(c.b.claimIdle()/2, 5*time.Second))
	}
	return c.readShared(streams)
}

// readShared reads from all streams as one of several members.
func (c *consumer) readShared(streams []active) error {
	args := []any{"xreadgroup", "group", c.group.Name, c.group.Member, "count", readCount, "block", readBlock.Milliseconds(), "streams"}
	for _, a := range streams {
		args = append(args, a.key)
	}
	for range streams {
		args = append(args, ">")
	}
	raw, err := c.blocking.DoRaw(context.Background(), args...).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return err
	}
	byKey, err := c.b.rawStreams(raw)
	if err != nil {
		return err
	}
	for _, a := range streams {
		c.push(a, byKey[a.key])
	}
	return nil
}

// push gives entries to Fetch, unless the claim changed meanwhile: they are pending then and read again.
func (c *consumer) push(a active, es []entry) {
	if len(es) == 0 {
		return
	}
	ds := make([]durable.Delivery, len(es))
	for i, e := range es {
		ds[i] = c.b.delivery(a.place, a.claim, e)
	}
	c.mu.Lock()
	valid := a.stream.claim == a.claim
	if valid {
		for _, e := range es {
			a.held[e.id] = struct{}{}
		}
	}
	c.mu.Unlock()
	if !valid {
		return
	}
	select {
	case c.batches <- ds:
	case <-c.ctx.Done():
		c.mu.Lock()
		c.rest = append(c.rest, ds...) // never started
		c.mu.Unlock()
	}
}
