package memory

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

// consumer is a member of a group. Fields below done are guarded by group.mu.
type consumer struct {
	backend      *Backend
	name         string // of the group
	member       string
	group        *group
	start        durable.Start
	expired      durable.ExpiredPolicy
	drainTimeout time.Duration
	life         context.Context // of its claims
	end          context.CancelCauseFunc
	wake         chan struct{} // 1: one pending wake-up
	done         chan struct{} // closed by Close

	closed bool
	topics map[string]bool
	seats  adapterkit.Seats[*place]
	found  []fetched
	recs   []record
}

var (
	_ durable.Consumer = (*consumer)(nil)
	_ durable.Pauser   = (*consumer)(nil)
)

// Consume implements durable.Backend. The group exists until the Store does.
func (b *Backend) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	if err := b.gate.Enter(ctx); err != nil {
		return nil, fmt.Errorf("memory: consume as %q: %w", g.Name, err)
	}
	defer b.gate.Leave()
	if err := durable.CheckGroup(g); err != nil {
		return nil, fmt.Errorf("memory: consume: %w", err)
	}
	c := &consumer{
		backend:      b,
		name:         g.Name,
		member:       g.Member,
		start:        g.Start,
		expired:      g.OnExpired,
		drainTimeout: b.cfg.DrainTimeout,
		wake:         make(chan struct{}, 1), // one pending wake-up
		done:         make(chan struct{}),
	}
	c.life, c.end = context.WithCancelCause(context.Background())
	if err := c.join(g.Topics); err != nil {
		c.end(nil)
		return nil, fmt.Errorf("memory: consume as %q: %w", g.Name, err)
	}
	b.gate.Keep(c)
	return c, nil
}

func (c *consumer) join(ts []durable.TopicStart) error {
	s := c.backend.store
	s.mu.Lock()
	defer s.mu.Unlock()
	topics := make([]*topic, len(ts))
	for i, t := range ts {
		topics[i] = c.backend.ensure(t.Topic)
	}
	c.group = s.group(c.name)
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	if c.member == "" {
		c.group.joins++
		c.member = "member-" + strconv.FormatInt(c.group.joins, 10)
	}
	if err := c.subscribe(topics, ts); err != nil {
		return err
	}
	c.group.members = append(c.group.members, c)
	c.group.rebalance()
	return nil
}

// subscribe stores the starts of topics in which the group has no position yet, all or none. The caller holds
// group.mu.
func (c *consumer) subscribe(topics []*topic, ts []durable.TopicStart) error {
	starts := make(map[*topic][]int64, len(topics))
	for i, t := range topics {
		if c.group.topics[t.name] != nil {
			continue
		}
		offsets, err := c.offsets(t, ts[i].Start.Or(c.start))
		if err != nil {
			return err
		}
		starts[t] = offsets
	}
	for t, offsets := range starts {
		c.group.enter(t, offsets)
	}
	c.topics = make(map[string]bool, len(topics))
	for _, t := range topics {
		c.topics[t.name] = true
	}
	return nil
}

// offsets resolves s in every partition of t.
func (c *consumer) offsets(t *topic, s durable.Start) ([]int64, error) {
	if err := adapterkit.CheckStart(s, len(t.partitions)); err != nil {
		return nil, err
	}
	out := make([]int64, len(t.partitions))
	for p := range out {
		off, err := adapterkit.Resolve(s, p, &place{topic: t, partition: p})
		if err := c.settle(t.name, p, err); err != nil {
			return nil, err
		}
		out[p] = off
	}
	return out, nil
}

// settle applies the group's policy to a position that is not stored.
func (c *consumer) settle(topic string, partition int, err error) error {
	return adapterkit.OnExpired(c.expired, err, func(err error) {
		c.backend.jumps.Add(1)
		c.backend.log.Warn("memory: group position is no longer stored, going on at the oldest record",
			slog.String("group", c.name), slog.String("topic", topic), slog.Int("partition", partition), slog.Any("error", err))
	})
}

func (c *consumer) wants(topic string) bool { return c.topics[topic] }

// Ack implements durable.Consumer.
func (c *consumer) Ack(ctx context.Context, ds ...durable.Delivery) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory: ack: %w", err)
	}
	g := c.group
	g.mu.Lock()
	defer g.mu.Unlock()
	late := c.seats.Ack(ds, adapterkit.Offset, func(s *seat, finished []int64) {
		s.Of.finish(finished)
		c.handOver(s.Of)
	})
	c.backend.lateAcks.Add(late)
	return nil
}

// Release implements durable.Consumer.
func (c *consumer) Release(ds ...durable.Delivery) {
	g := c.group
	g.mu.Lock()
	defer g.mu.Unlock()
	c.seats.Release(ds, adapterkit.Offset, func(s *seat) {
		s.Of.commit()
		c.handOver(s.Of)
	})
	signal(c.wake)
}

// Pause implements durable.Pauser.
func (c *consumer) Pause(claim *durable.Claim) { c.setPaused(claim, true) }

// Resume implements durable.Pauser.
func (c *consumer) Resume(claim *durable.Claim) { c.setPaused(claim, false) }

// Claims implements durable.Pauser.
func (c *consumer) Claims() int {
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	return c.seats.Len()
}

func (c *consumer) setPaused(claim *durable.Claim, paused bool) {
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	if s := c.seats.Find(claim); s != nil {
		s.Paused = paused
		signal(c.wake)
	}
}

// handOver completes a hand-over for which nothing is handed out any more.
func (c *consumer) handOver(pl *place) {
	if pl.timer != nil && len(pl.seat.Handed()) == 0 {
		c.group.surrender(pl, nil)
	}
}

// SetTopics implements durable.Consumer.
func (c *consumer) SetTopics(ctx context.Context, ts ...durable.TopicStart) error {
	if err := c.backend.gate.Enter(ctx); err != nil {
		return fmt.Errorf("memory: set topics: %w", err)
	}
	defer c.backend.gate.Leave()
	if err := durable.CheckGroup(durable.Group{Name: c.name, Topics: ts}); err != nil {
		return fmt.Errorf("memory: set topics: %w", err)
	}
	s := c.backend.store
	s.mu.Lock()
	defer s.mu.Unlock()
	topics := make([]*topic, len(ts))
	for i, t := range ts {
		topics[i] = c.backend.ensure(t.Topic)
	}
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	if c.closed {
		return fmt.Errorf("memory: set topics: %w", durable.ErrClosed)
	}
	if err := c.subscribe(topics, ts); err != nil {
		return fmt.Errorf("memory: set topics: %w", err)
	}
	c.group.rebalance()
	return nil
}

// Close implements durable.Consumer. It never waits.
func (c *consumer) Close(context.Context) error {
	c.leave()
	c.backend.gate.Forget(c)
	return nil
}

// leave ends the membership and hands over what c owns.
func (c *consumer) leave() {
	g := c.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	close(c.done)
	g.members = slices.DeleteFunc(g.members, func(x *consumer) bool { return x == c })
	spread(g.sorted(), g.members)
	for _, s := range c.seats.All() {
		g.surrender(s.Of, durable.ErrClosed)
	}
	g.rebalance()
	c.end(durable.ErrClosed)
}
