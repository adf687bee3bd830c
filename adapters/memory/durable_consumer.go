package memory

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// consumer is a member of a group. Fields below done are guarded by group.mu.
type consumer struct {
	backend      *Backend
	name         string // of the group
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
	places []*place // owned
	turn   int      // where the next Fetch begins
	found  []fetched
	recs   []record
}

var (
	_ durable.Consumer = (*consumer)(nil)
	_ durable.Pauser   = (*consumer)(nil)
)

// Consume implements durable.Backend. The group exists until the Store does.
func (b *Backend) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	leave, err := b.enter(ctx)
	if err != nil {
		return nil, fmt.Errorf("memory: consume as %q: %w", g.Name, err)
	}
	defer leave()
	if err := durable.CheckGroup(g); err != nil {
		return nil, fmt.Errorf("memory: consume: %w", err)
	}
	c := &consumer{
		backend:      b,
		name:         g.Name,
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
	b.mu.Lock()
	b.consumers[c] = struct{}{}
	b.mu.Unlock()
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
	if err := t.checkCursor(s.Cursor()); err != nil {
		return nil, err
	}
	out := make([]int64, len(t.partitions))
	for p := range out {
		off, err := t.resolve(s, p)
		if err != nil && (!isExpired(err) || c.expired == durable.ExpiredFail) {
			return nil, err
		}
		if err != nil {
			c.jumped(t.name, p)
		}
		out[p] = off
	}
	return out, nil
}

func (c *consumer) jumped(topic string, partition int) {
	c.backend.jumps.Add(1)
	c.backend.log.Warn("memory: group position is no longer stored, going on at the oldest record",
		slog.String("group", c.name), slog.String("topic", topic), slog.Int("partition", partition))
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
	for i := range ds {
		pl := c.owned(ds[i].Claim)
		_, off, _, ok := parsePosition(ds[i].Position)
		if pl == nil || !ok {
			c.backend.lateAcks.Add(1)
			continue
		}
		pl.ackThrough(off)
		c.settle(pl)
	}
	return nil
}

// Release implements durable.Consumer.
func (c *consumer) Release(ds ...durable.Delivery) {
	g := c.group
	g.mu.Lock()
	defer g.mu.Unlock()
	back := map[*place][]int64{}
	for i := range ds {
		pl := c.owned(ds[i].Claim)
		if _, off, _, ok := parsePosition(ds[i].Position); ok && pl != nil {
			back[pl] = append(back[pl], off)
		}
	}
	for pl, offsets := range back {
		pl.release(offsets)
		c.settle(pl)
	}
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
	return len(c.places)
}

func (c *consumer) setPaused(claim *durable.Claim, paused bool) {
	c.group.mu.Lock()
	defer c.group.mu.Unlock()
	if pl := c.owned(claim); pl != nil {
		pl.paused = paused
		signal(c.wake)
	}
}

// settle completes a hand-over for which nothing is handed out any more.
func (c *consumer) settle(pl *place) {
	if len(pl.handed) == 0 && pl.timer != nil {
		c.group.surrender(pl, nil)
	}
}

// owned is the place held under claim, nil where the claim was lost.
func (c *consumer) owned(claim *durable.Claim) *place {
	i := slices.IndexFunc(c.places, func(pl *place) bool { return pl.claim == claim })
	if i < 0 {
		return nil
	}
	return c.places[i]
}

// SetTopics implements durable.Consumer.
func (c *consumer) SetTopics(ctx context.Context, ts ...durable.TopicStart) error {
	leave, err := c.backend.enter(ctx)
	if err != nil {
		return fmt.Errorf("memory: set topics: %w", err)
	}
	defer leave()
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
	c.backend.mu.Lock()
	defer c.backend.mu.Unlock()
	delete(c.backend.consumers, c)
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
	for _, pl := range slices.Clone(c.places) {
		g.surrender(pl, durable.ErrClosed)
	}
	g.rebalance()
	c.end(durable.ErrClosed)
}
