package redisstream

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
)

const leasePoll = 100 * time.Millisecond // between attempts to take a lease that another member holds

func (b *Backend) claimIdle() time.Duration {
	if b.cfg.ClaimIdle > 0 {
		return b.cfg.ClaimIdle
	}
	return defaultClaimIdle
}

func (b *Backend) leaseTTL() time.Duration {
	if b.cfg.LeaseTTL > 0 {
		return b.cfg.LeaseTTL
	}
	return defaultLeaseTTL
}

// own takes the lease of s. Under Ordering None it only checks that nobody holds one.
func (c *consumer) own(ctx context.Context, s *stream) error {
	if c.token == "" {
		n, err := c.control.Exists(ctx, s.lease).Result()
		if err != nil {
			return fmt.Errorf("redisstream: lease of group %q: %w", c.group.Name, unavailable(err))
		}
		if n > 0 {
			return fmt.Errorf("redisstream: group %q of %q has an ordered member: %w: use one ordering in a group",
				c.group.Name, s.topic, durable.ErrUnsupported)
		}
		return nil
	}
	ttl := c.b.leaseTTL()
	wait, cancel := context.WithTimeout(ctx, ttl+time.Second)
	defer cancel()
	poll := time.NewTicker(leasePoll)
	defer poll.Stop()
	for {
		begun := time.Now()
		epoch, err := acquireScript.Run(ctx, c.control, []string{s.key, s.lease, s.epochKey}, c.token, ttl.Milliseconds()).Int64()
		if err != nil {
			return fmt.Errorf("redisstream: lease of group %q: %w", c.group.Name, unavailable(err))
		}
		if epoch > 0 {
			s.epoch, s.deadline = epoch, begun.Add(ttl)
			return nil
		}
		select {
		case <-poll.C:
		case <-c.b.stop:
			return fmt.Errorf("redisstream: %w", durable.ErrClosed)
		case <-wait.Done():
			if err := ctx.Err(); err != nil {
				return err
			}
			return fmt.Errorf("redisstream: group %q has a member in partition %d of %q: %w: ordered consumption has one member per group; "+
				"close the other one, or use ordering none", c.group.Name, s.partition, s.topic, durable.ErrUnsupported)
		}
	}
}

// maintain renews the leases, or keeps entries in work from being claimed by others, until the membership ends.
func (c *consumer) maintain() {
	every := c.b.claimIdle() / 3
	if c.token != "" {
		every = c.b.leaseTTL() / 3
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-c.failed:
			return
		case <-c.ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(c.ctx, every)
		if c.token != "" {
			c.renew(ctx)
		} else {
			c.touch(ctx)
		}
		cancel()
	}
}

// touch is best effort: what it misses is delivered to another member as well.
func (c *consumer) touch(ctx context.Context) {
	for _, a := range c.actives() {
		_ = touchScript.Run(ctx, c.control, []string{a.key, a.lease}, "", c.group.Name, c.group.Member).Err()
	}
}

// renew prolongs every lease in one pipeline. A lease that could not be renewed in time suspends its claim; one that
// another member took ends the membership.
func (c *consumer) renew(ctx context.Context) {
	c.mu.Lock()
	streams := append([]*stream(nil), c.streams...)
	c.mu.Unlock()
	ttl, begun := c.b.leaseTTL(), time.Now()
	pipe := c.control.Pipeline()
	cmds := make([]*redis.Cmd, len(streams))
	for i, s := range streams {
		cmds[i] = renewScript.Eval(ctx, pipe, []string{s.key, s.lease, s.epochKey}, c.token, ttl.Milliseconds(), s.epoch)
	}
	_, _ = pipe.Exec(ctx) // every command holds its own error
	for i, s := range streams {
		held, err := cmds[i].Int()
		switch {
		case err == nil && held == 0:
			c.fenced(s)
			return
		case err == nil:
			c.renewed(s, begun.Add(ttl))
		default:
			c.suspend(s, err)
		}
	}
}

// renewed notes the new deadline; a claim that was lost in between begins again, if nobody held the lease since.
func (c *consumer) renewed(s *stream, deadline time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.ctx.Err() != nil {
		return
	}
	s.deadline = deadline
	if s.claim == nil {
		c.hold(s)
		c.log.Info("redisstream: lease renewed, consuming again", "topic", s.topic, "partition", s.partition, "group", c.group.Name)
	}
}

// suspend ends the claim of s when its lease has run out.
func (c *consumer) suspend(s *stream, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.claim == nil || time.Now().Before(s.deadline) {
		return
	}
	c.lose(s, durable.ErrFenced)
	c.log.Warn("redisstream: the lease could not be renewed in time, consuming is suspended",
		"topic", s.topic, "partition", s.partition, "group", c.group.Name, "error", cause)
}
