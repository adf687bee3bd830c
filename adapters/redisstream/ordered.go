package redisstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
)

const (
	mostBehind   = 4096                  // entries of a partition that are read and not committed; see the package's Limits
	orderedBlock = rediskit.MaxBlock     // how long a read waits on the server; nothing waits for it
	beatMost     = time.Second           // between two looks at the members
	wantLeast    = 20 * time.Millisecond // between two attempts to take a lease
	wantMost     = 200 * time.Millisecond
)

// ordered is one member of a group with Ordering PerKey. A keeper holds the leases of its partitions, one reader for
// each of them reads ahead, and one goroutine commits.
//
// mu is the only lock; it is never held over I/O.
type ordered struct {
	b        *Backend
	group    durable.Group
	id       string // of this membership: the member's name and a random text
	log      *slog.Logger
	origin   time.Time // of the monotonic times of this member
	ctx      context.Context
	cancel   context.CancelFunc // Close begins
	work     sync.WaitGroup
	batches  chan batch    // what was read
	again    chan struct{} // 1: back is not empty
	kick     chan struct{} // 1: there is something to commit
	look     chan struct{} // 1: the keeper has something to do
	failed   chan struct{} // closed when err is set
	left     chan struct{} // closed when the hand-over is over
	leave    sync.Once
	leaveErr error      // written before left is closed
	setting  sync.Mutex // of SetTopics; before mu
	keeper   keeper
	refused  refusals

	mu      sync.Mutex
	topics  []durable.TopicStart
	parts   map[place]*part
	byClaim map[*durable.Claim]*tenure
	reading map[*rediskit.Session]struct{} // one for each reader
	back    []durable.Delivery             // released: fetched again first
	rest    batch                          // of the batch that is being fetched
	waiting []batch                        // to be fetched after rest; see Resume
	stale   bool                           // topics or tenures changed since the others were told
	missing bool                           // a group was not there: renew at once
	err     error                          // why the membership ended before Close
	faulty  int                            // readers that fail
}

// part is a partition that the member consumes, owned or not.
type part struct {
	place
	keys  []string // of the scripts
	token string   // of the last lease that was asked for
	old   string   // of the last one that was had
	epoch int64
	free  time.Duration // not to be taken before

	own     *tenure // mu; nil while not owned
	leaving *tenure // mu; one that is over, whose lease is to be given up at free; nil: none
	gone    bool    // mu; to be given up for good
}

// batch is what was read at once under one claim.
type batch struct {
	own *tenure
	ds  []durable.Delivery
}

var (
	_ durable.Consumer = (*ordered)(nil)
	_ durable.Pauser   = (*ordered)(nil)
)

// consumeOrdered joins a group with Ordering PerKey.
func (b *Backend) consumeOrdered(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	c := b.newOrdered(g)
	if err := c.join(ctx); err != nil {
		return nil, errors.Join(err, c.abandon())
	}
	if !b.enter(c) {
		return nil, errors.Join(fmt.Errorf("redisstream: %w", durable.ErrClosed), c.abandon())
	}
	c.work.Go(c.keep)
	c.work.Go(c.commits)
	return c, nil
}

func (b *Backend) newOrdered(g durable.Group) *ordered {
	if g.Member == "" {
		g.Member = rand.Text()
	}
	c := &ordered{
		b: b, group: g, id: g.Member + ":" + rand.Text(), log: b.logger().With("group", g.Name, "member", g.Member),
		origin:  b.now(),
		batches: make(chan batch, prefetched), again: make(chan struct{}, 1), kick: make(chan struct{}, 1),
		look: make(chan struct{}, 1), failed: make(chan struct{}), left: make(chan struct{}),
		parts: map[place]*part{}, reading: map[*rediskit.Session]struct{}{}, byClaim: map[*durable.Claim]*tenure{},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// now is the backend's clock, of which only differences count.
func (b *Backend) now() time.Time {
	if b.clock != nil {
		return b.clock()
	}
	return time.Now()
}

// since is the monotonic time of the member.
func (c *ordered) since() time.Duration { return c.b.now().Sub(c.origin) }

// margin is how long before the end of its lease a member stops by itself, so that handlers that heed their contexts
// have returned when the next member begins.
func (c *ordered) margin() time.Duration { return c.b.leaseTTL() / 5 }

// join makes the groups and shows the member to the others.
func (c *ordered) join(ctx context.Context) error {
	if err := c.setTopics(ctx, c.group.Topics); err != nil {
		return err
	}
	return c.beat(ctx)
}

// SetTopics implements durable.Consumer. The partitions of a topic that is left out are drained and go to others.
func (c *ordered) SetTopics(ctx context.Context, ts ...durable.TopicStart) error {
	if err := c.ended(); err != nil {
		return err
	}
	g := c.group
	g.Topics = ts
	if err := durable.CheckGroup(g); err != nil {
		return fmt.Errorf("redisstream: %w", err)
	}
	return c.setTopics(ctx, ts)
}

// setTopics makes the groups of new topics and then has the keeper take and leave partitions.
func (c *ordered) setTopics(ctx context.Context, ts []durable.TopicStart) error {
	c.setting.Lock()
	defer c.setting.Unlock()
	c.mu.Lock()
	known := make(map[string]bool, len(c.topics))
	for _, t := range c.topics {
		known[t.Topic] = true
	}
	c.mu.Unlock()
	var fresh []place
	keep := make(map[string]bool, len(ts))
	for _, t := range ts {
		keep[t.Topic] = true
		if known[t.Topic] {
			continue
		}
		ps, err := c.enroll(ctx, t.Topic, t.Start.Or(c.group.Start))
		if err != nil {
			return err
		}
		fresh = append(fresh, ps...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.topics = slices.Clone(ts)
	for _, p := range fresh {
		c.add(p)
	}
	for _, p := range c.parts {
		p.gone = p.gone || !keep[p.topic]
	}
	c.stale = true
	poke(c.look)
	return nil
}

// enroll makes the groups of every partition of topic.
func (c *ordered) enroll(ctx context.Context, topic string, start durable.Start) ([]place, error) {
	n, err := c.b.partitions(ctx, topic)
	if err != nil {
		return nil, err
	}
	ps := make([]place, n)
	for i := range ps {
		ps[i] = newPlace(topic, i, n)
		if err := c.b.enroll(ctx, c.group, ps[i], start); err != nil {
			return nil, err
		}
	}
	return ps, nil
}

// add has a partition consumed. The caller holds mu.
func (c *ordered) add(p place) {
	if old := c.parts[p]; old != nil {
		old.gone = false
		return
	}
	c.parts[p] = &part{place: p, keys: []string{p.key, p.leaseKey(c.group.Name), p.groupKey(c.group.Name)}}
}

// fail ends the membership with err: Fetch returns it.
func (c *ordered) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	close(c.failed)
	for _, p := range c.parts {
		if p.own != nil {
			c.lose(p.own, err)
		}
	}
}

// abandon closes what a membership that never began has.
func (c *ordered) abandon() error {
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	return c.Close(ctx)
}

// pause waits for d or the end of the membership; false at its end.
func (c *ordered) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.failed:
		return false
	case <-c.ctx.Done():
		return false
	}
}
