package redisstream

import (
	"context"
	"errors"
	"fmt"
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
	if c.token != "" {
		return c.readFenced(streams)
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

// readFenced reads from each stream under its lease, and waits where there was nothing.
func (c *consumer) readFenced(streams []active) error {
	found := false
	for _, a := range streams {
		if a.busy {
			if err := c.readBusy(a); err != nil && !c.refused(a, err) {
				return err
			}
			found = true
			continue
		}
		reply, err := c.run(readScript, c.blocking, a.stream, c.token, c.group.Name, c.group.Member, readCount).Slice()
		if err != nil {
			if c.refused(a, err) {
				continue
			}
			return err
		}
		if len(reply) == 1 {
			a.waitFrom = fmt.Sprint(reply[0])
			continue
		}
		if len(reply) != 2 {
			return fmt.Errorf("redisstream: a reply of %d elements to a read", len(reply))
		}
		es, err := parseEntries(reply[1], 1)
		if err != nil {
			return err
		}
		found = true
		a.busy = len(es) == readCount
		c.push(a, es)
	}
	if found {
		return nil
	}
	return c.await(streams)
}

// await waits for a new entry. It takes nothing, so that a member that lost its lease while it waits does no harm.
func (c *consumer) await(streams []active) error {
	args := []any{"xread", "count", 1, "block", readBlock.Milliseconds(), "streams"}
	for _, a := range streams {
		args = append(args, a.key)
	}
	for _, a := range streams {
		args = append(args, a.waitFrom)
	}
	err := c.blocking.Do(context.Background(), args...).Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}

// run runs a script on a stream.
func (c *consumer) run(script *redis.Script, on *redis.Client, s *stream, args ...any) *redis.Cmd {
	return script.Run(context.Background(), on, []string{s.key, s.lease, s.epochKey}, args...)
}

// refused tells whether err says that the lease is not ours; the claim is then lost until the lease is renewed.
func (c *consumer) refused(a active, err error) bool {
	if !strings.HasPrefix(err.Error(), errFenced) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.stream.claim == a.claim {
		c.lose(a.stream, durable.ErrFenced)
	}
	return true
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
