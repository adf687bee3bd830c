package main

import (
	"context"
	"sync"
	"time"

	"github.com/dualstream/dualstream/durable"
)

const (
	joinTime = 15 * time.Second // that the members of this process get to take their partitions
	joinLook = 20 * time.Millisecond
)

// crew is a backend that knows the members that joined by it.
type crew struct {
	durable.Backend
	mu      sync.Mutex
	members []durable.Pauser
}

// Consume implements durable.Backend.
func (c *crew) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	member, err := c.Backend.Consume(ctx, g)
	if p, ok := member.(durable.Pauser); ok && err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.members = append(c.members, p)
	}
	return member, err
}

// awaitShares waits until each of n members has its share of the partitions of topic, so that what is published then is
// spread over all of them. It gives up after joinTime: others may have joined elsewhere.
func (c *crew) awaitShares(ctx context.Context, n int, topic string) {
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	admin, ok := c.Backend.(durable.Administrator)
	if !ok {
		return
	}
	info, err := admin.DescribeTopic(ctx, topic)
	for err == nil && !c.spread(n, len(info.Partitions)/n) {
		err = wait(ctx, joinLook)
	}
}

// spread tells whether n members have joined, each with share partitions or more.
func (c *crew) spread(n, share int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		if m.Claims() < share {
			return false
		}
	}
	return len(c.members) >= n
}
