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

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
)

const (
	defaultClaimIdle = time.Minute
	defaultLeaseTTL  = 10 * time.Second
	readCount        = 500                    // entries of one read
	prefetched       = 2                      // batches that wait for Fetch
	readBlock        = 250 * time.Millisecond // how long a read waits on the server; Close waits as long
	handOverTime     = 10 * time.Second       // bound of the hand-over when the caller of Close has none
)

// stream is one partition of a topic as a member has it. What follows mu of the consumer is guarded by it.
type stream struct {
	place
	lease    string // key of the lease
	epochKey string

	claim    *durable.Claim
	epoch    int64
	deadline time.Time           // when the lease ends unless it is renewed
	adopt    bool                // pending entries that are not held are to be read first
	held     map[string]struct{} // ids that were read and are not acknowledged
	acks     []string            // ids to acknowledge
	waitFrom string              // the reader's: the id after which to wait for new entries
	busy     bool                // the reader's: the last read was full
}

// consumer is one member of a group.
type consumer struct {
	b        *Backend
	group    durable.Group
	token    string // of the leases; "" under Ordering None
	log      *slog.Logger
	control  *redis.Client
	blocking *redis.Client
	ctx      context.Context // ends when Close begins
	cancel   context.CancelFunc
	work     sync.WaitGroup
	batches  chan []durable.Delivery // what was read, in order
	again    chan struct{}           // capacity 1: back is not empty
	ackKick  chan struct{}           // capacity 1: there are acks
	failed   chan struct{}           // closed when err is set
	left     chan struct{}           // closed when the hand-over is over
	leave    sync.Once
	leaveErr error // written before left is closed

	mu      sync.Mutex
	streams []*stream
	byClaim map[*durable.Claim]*stream
	back    []durable.Delivery // released: fetched again first
	rest    []durable.Delivery // of the batch that is being fetched
	err     error              // why the membership ended before Close
	late    int64              // acks under lost claims
}

var _ durable.Consumer = (*consumer)(nil)

// Consume implements durable.Backend.
//
// Ordering PerKey has one member per group and partition: a lease keeps others out, and reads and acks are fenced by
// its token. A second member waits for the lease to end, at most Config.LeaseTTL and a second, and is then refused
// with durable.ErrUnsupported. Ordering None lets members compete; what a member that died held goes to the others
// after Config.ClaimIdle.
func (b *Backend) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	if b.closed() {
		return nil, fmt.Errorf("redisstream: %w", durable.ErrClosed)
	}
	if err := durable.CheckGroup(g); err != nil {
		return nil, fmt.Errorf("redisstream: %w", err)
	}
	c := b.newConsumer(g)
	if err := c.join(ctx); err != nil {
		return nil, errors.Join(err, c.abandon())
	}
	if !b.enter(c) {
		return nil, errors.Join(fmt.Errorf("redisstream: %w", durable.ErrClosed), c.abandon())
	}
	c.work.Go(c.read)
	c.work.Go(c.acknowledge)
	c.work.Go(c.maintain)
	return c, nil
}

func (b *Backend) newConsumer(g durable.Group) *consumer {
	if g.Member == "" {
		g.Member = rand.Text()
	}
	g.Topics = slices.Clone(g.Topics)
	c := &consumer{
		b: b, group: g, log: b.logger(), control: b.control, blocking: b.cfg.Client(rediskit.Blocking),
		batches: make(chan []durable.Delivery, prefetched), again: make(chan struct{}, 1), ackKick: make(chan struct{}, 1),
		failed: make(chan struct{}), left: make(chan struct{}), byClaim: map[*durable.Claim]*stream{},
	}
	if g.Ordering == durable.PerKey {
		c.token = g.Member + ":" + rand.Text()
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// join makes the groups and takes the leases of every partition.
func (c *consumer) join(ctx context.Context) error {
	for _, t := range c.group.Topics {
		n, err := c.b.partitions(ctx, t.Topic)
		if err != nil {
			return err
		}
		for p := range n {
			s := newStream(t.Topic, p, n, c.group.Name)
			if err := c.b.enroll(ctx, c.group, s.place, t.Start.Or(c.group.Start)); err != nil {
				return err
			}
			if err := c.own(ctx, s); err != nil {
				return err
			}
			c.mu.Lock()
			c.hold(s)
			c.streams = append(c.streams, s)
			c.mu.Unlock()
		}
	}
	return nil
}

func newStream(topic string, partition, of int, group string) *stream {
	p := newPlace(topic, partition, of)
	return &stream{
		place: p, lease: p.leaseKey(group), epochKey: "ds:epoch:" + p.tag() + ":" + group,
		held: map[string]struct{}{}, waitFrom: beginning,
	}
}

// hold gives s a new claim, under which the pending entries are read first. The caller holds mu.
func (c *consumer) hold(s *stream) {
	s.claim = durable.NewClaim(context.Background(), s.topic, s.partition, s.epoch)
	s.adopt = true
	c.byClaim[s.claim] = s
}

// lose ends the claim of s with cause; what was read under it is forgotten. The caller holds mu.
func (c *consumer) lose(s *stream, cause error) {
	if s.claim == nil {
		return
	}
	s.claim.Lose(cause)
	delete(c.byClaim, s.claim)
	c.late += int64(len(s.acks))
	s.claim, s.acks = nil, nil
	clear(s.held)
}

// fail ends the membership with err: Fetch returns it.
func (c *consumer) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	close(c.failed)
	for _, s := range c.streams {
		c.lose(s, err)
	}
}

// fenced ends the membership because another member owns s.
func (c *consumer) fenced(s *stream) {
	c.fail(fmt.Errorf("redisstream: group %q, topic %q, partition %d: %w", c.group.Name, s.topic, s.partition, durable.ErrFenced))
}

// abandon closes what a membership that never began has.
func (c *consumer) abandon() error {
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	return c.Close(ctx)
}

// pause waits for d or the end of the membership; false at its end.
func (c *consumer) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
