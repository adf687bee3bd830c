package redisstream

import (
	"context"
	"time"
)

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

// maintain keeps entries in work from being claimed by others, until the membership ends.
func (c *consumer) maintain() {
	every := c.b.claimIdle() / 3
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-c.ctx.Done():
			return
		}
		ctx, cancel := context.WithTimeout(c.ctx, every)
		c.touch(ctx)
		cancel()
	}
}

// touch is best effort: what it misses is delivered to another member as well.
func (c *consumer) touch(ctx context.Context) {
	for _, a := range c.actives() {
		_ = touchScript.Run(ctx, c.control, []string{a.key}, c.group.Name, c.group.Member).Err()
	}
}
