package redisstream

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// adoptPending reads the pending entries of the member that it does not hold. Their delivery counts rise by one.
func (c *consumer) adoptPending(a active) error {
	from := "-"
	for c.ctx.Err() == nil {
		page, err := c.pending(a, c.group.Member, from, 0)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		from = "(" + page[len(page)-1].ID
		if err := c.takeOver(a, page); err != nil {
			return err
		}
	}
	c.mu.Lock()
	if a.stream.claim == a.claim {
		a.stream.adopt = false
	}
	c.mu.Unlock()
	return nil
}

// pending is a page of pending entries, of owner alone unless that is "", which nobody touched for idle milliseconds.
func (c *consumer) pending(a active, owner, from string, idle int64) ([]redis.XPendingExt, error) {
	args := []any{"xpending", a.key, c.group.Name}
	if idle > 0 {
		args = append(args, "idle", idle)
	}
	args = append(args, from, "+", readCount)
	if owner != "" {
		args = append(args, owner)
	}
	cmd := redis.NewXPendingExtCmd(context.Background(), args...)
	if err := c.control.Process(context.Background(), cmd); err != nil {
		return nil, err
	}
	return cmd.Val(), nil
}

// takeOver claims those of page that the member does not hold and gives them to Fetch.
func (c *consumer) takeOver(a active, page []redis.XPendingExt) error {
	args := []any{c.group.Name, c.group.Member, c.group.Member}
	counts := make(map[string]int, len(page))
	c.mu.Lock()
	for _, p := range page {
		if _, held := a.held[p.ID]; !held {
			args = append(args, p.ID)
			counts[p.ID] = int(p.RetryCount) + 1
		}
	}
	c.mu.Unlock()
	if len(counts) == 0 {
		return nil
	}
	reply, err := claimScript.Run(context.Background(), c.control, []string{a.key}, args...).Result()
	if err != nil {
		return err
	}
	return c.pushClaimed(a, reply, counts)
}

// claimIdle takes entries over that other members left alone for Config.ClaimIdle.
func (c *consumer) claimIdle(a active) error {
	idle := c.b.claimIdle().Milliseconds()
	page, err := c.pending(a, "", "-", idle)
	if err != nil {
		return err
	}
	args := []any{"xclaim", a.key, c.group.Name, c.group.Member, idle}
	counts := make(map[string]int, len(page))
	for _, p := range page {
		if p.Consumer != c.group.Member {
			args = append(args, p.ID)
			counts[p.ID] = int(p.RetryCount) + 1
		}
	}
	if len(counts) == 0 {
		return nil
	}
	reply, err := c.control.Do(context.Background(), args...).Result()
	if err != nil {
		return err
	}
	return c.pushClaimed(a, reply, counts)
}

func (c *consumer) pushClaimed(a active, reply any, counts map[string]int) error {
	es, err := parseEntries(reply, 0)
	if err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	for i := range es {
		es[i].attempt = counts[es[i].id]
	}
	c.push(a, es)
	return nil
}
