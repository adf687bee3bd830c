package kafka

import (
	"errors"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

var errLeaseOver = errors.New("no heartbeat was answered within the session timeout")

// beats tells the coordinator that the member lives, and learns of rebalances.
func (c *consumer) beats() {
	tick := time.NewTicker(c.b.cfg.heartbeat())
	defer tick.Stop()
	refused := false
	for {
		select {
		case <-tick.C:
		case <-c.life.Done():
			return
		}
		under, began := c.seat.now(), time.Now()
		err := c.seat.beat(under)
		now := c.seat.now()
		same := now.generation == under.generation && !now.joining && !under.joining
		switch {
		case err == nil:
			c.extend(began)
			if refused {
				refused = false
				c.recovered()
			}
		case isDenied(err):
			refused = true
			c.report(err)
		case errors.Is(err, sarama.ErrRebalanceInProgress):
			c.extend(began)
			if same {
				poke(c.rejoin)
			}
		case unseated(err) && same:
			c.unseat(err)
			poke(c.rejoin)
		}
	}
}

// extend notes that the coordinator heard of the member at t or later.
func (c *consumer) extend(t time.Time) {
	until := int64(t.Add(c.b.cfg.SessionTimeout).Sub(c.born))
	for {
		old := c.lease.Load()
		if until <= old || c.lease.CompareAndSwap(old, until) {
			return
		}
	}
}

// leased is how much longer the group keeps the claims for this member.
func (c *consumer) leased() time.Duration { return time.Duration(c.lease.Load()) - time.Since(c.born) }

// owns is the guard of the claims: the engine asks it before it starts a handler.
func (c *consumer) owns() bool { return c.leased() > 0 }

// severed tells whether err is that of a connection to the coordinator, which keeps the place for this member meanwhile.
func (c *consumer) severed(err error) bool { return cut(err) && c.owns() }

// guard gives claims up for which the coordinator cannot be reached: it drains them after half of the session timeout,
// so that what runs may finish, and loses them at its end, when the group may give them to others.
func (c *consumer) guard() {
	tick := time.NewTicker(max(c.b.cfg.SessionTimeout/20, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.life.Done():
			return
		}
		if c.expire() {
			continue
		}
		c.guarded()
		c.mu.Lock()
		late := len(c.held) > 0 && c.leased() < c.b.cfg.SessionTimeout/2
		began := false
		for _, h := range c.held {
			if late && !h.draining {
				c.beginDrain(h)
				began = true
			}
		}
		c.mu.Unlock()
		if began {
			c.b.cfg.Logger.Warn("kafka: the group's coordinator does not answer, giving the claims up", "group", c.group.Name)
			poke(c.rejoin)
		}
	}
}

// expire loses the claims whose lease is over, also of a process that was stopped meanwhile.
func (c *consumer) expire() bool {
	if c.owns() {
		return false
	}
	n := c.loseAll(errors.Join(durable.ErrFenced, errLeaseOver))
	if n == 0 {
		return false
	}
	c.b.cfg.Logger.Warn("kafka: the claims are lost", "group", c.group.Name, "claims", n, "error", errLeaseOver)
	poke(c.rejoin) // with the place it has: the coordinator may not have noticed
	return true
}

// guarded loses the claims of which the engine found out that the lease was over, though it was extended since.
func (c *consumer) guarded() {
	c.mu.Lock()
	lost := c.where(func(h *held) bool { return h.claim.Context().Err() != nil })
	for _, h := range lost {
		c.beginDrain(h)
		c.drop(h)
	}
	c.mu.Unlock()
	if len(lost) > 0 {
		c.b.cfg.Logger.Warn("kafka: the claims are lost", "group", c.group.Name, "claims", len(lost), "error", errLeaseOver)
		poke(c.rejoin)
	}
}
