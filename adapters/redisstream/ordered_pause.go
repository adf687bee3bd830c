package redisstream

import "github.com/dualstream/dualstream/durable"

// Pause implements durable.Pauser. The partition is not read on, and what was read of it is set aside.
func (c *ordered) Pause(claim *durable.Claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.byClaim[claim]; o != nil {
		o.paused = true
	}
}

// Resume implements durable.Pauser.
func (c *ordered) Resume(claim *durable.Claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.byClaim[claim]
	if o == nil || !o.paused {
		return
	}
	o.paused = false
	if len(o.aside) > 0 { // it is older than anything else of o
		if c.rest.own != nil {
			c.waiting = append([]batch{c.rest}, c.waiting...)
		}
		c.rest, o.aside = batch{o, o.aside}, nil
	}
	poke(o.room)
	poke(c.again)
}

// Claims implements durable.Pauser.
func (c *ordered) Claims() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byClaim)
}

// fetched has what may be fetched in rest, and returns its tenure, nil where there is nothing. The caller holds mu.
func (c *ordered) fetched() *tenure {
	for {
		o := c.rest.own
		if o != nil && o.own == o && o.drainBy == 0 && !o.paused {
			return o
		}
		if o != nil && o.own == o && o.drainBy == 0 {
			o.aside = append(o.aside, c.rest.ds...)
		}
		c.rest = batch{}
		if len(c.waiting) == 0 {
			return nil
		}
		c.rest, c.waiting = c.waiting[0], c.waiting[1:]
	}
}
