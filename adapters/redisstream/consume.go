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

	claim *durable.Claim
	adopt bool                // pending entries that are not held are to be read first
	held  map[string]struct{} // ids that were read and are not acknowledged
	acks  []string            // ids to acknowledge
}

// consumer is one member of a group with Ordering None.
type consumer struct {
	b        *Backend
	group    durable.Group
	log      *slog.Logger
	control  *redis.Client
	blocking *redis.Client
	ctx      context.Context // ends when Close begins
	cancel   context.CancelFunc
	work     sync.WaitGroup
	batches  chan []durable.Delivery // what was read, in order
	again    chan struct{}           // capacity 1: back is not empty
	ackKick  chan struct{}           // capacity 1: there are acks
	left     chan struct{}           // closed when the hand-over is over
	leave    sync.Once
	leaveErr error // written before left is closed

	mu      sync.Mutex
	streams []*stream
	byClaim map[*durable.Claim]*stream
	back    []durable.Delivery // released: fetched again first
	rest    []durable.Delivery // of the batch that is being fetched
	late    int64              // acks under lost claims
}

var _ durable.Consumer = (*consumer)(nil)

// Consume implements durable.Backend.
//
// Ordering PerKey spreads the partitions over the members; each is owned by one of them under a lease of
// Config.LeaseTTL, with whose token commits are fenced. Ordering None lets members compete; what a member that died
// held goes to the others after Config.ClaimIdle. A group has one ordering: another one is ErrOrdering.
func (b *Backend) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	if b.closed() {
		return nil, fmt.Errorf("redisstream: %w", durable.ErrClosed)
	}
	if err := durable.CheckGroup(g); err != nil {
		return nil, fmt.Errorf("redisstream: %w", err)
	}
	if g.Ordering == durable.PerKey {
		return b.consumeOrdered(ctx, g)
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
		left: make(chan struct{}), byClaim: map[*durable.Claim]*stream{},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// join makes the group in every partition.
func (c *consumer) join(ctx context.Context) error {
	for _, t := range c.group.Topics {
		n, err := c.b.partitions(ctx, t.Topic)
		if err != nil {
			return err
		}
		for p := range n {
			s := newStream(t.Topic, p, n)
			if err := c.b.enroll(ctx, c.group, s.place, t.Start.Or(c.group.Start)); err != nil {
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

func newStream(topic string, partition, of int) *stream {
	return &stream{place: newPlace(topic, partition, of), held: map[string]struct{}{}}
}

// hold gives s a new claim, under which the pending entries are read first. The caller holds mu.
func (c *consumer) hold(s *stream) {
	s.claim = durable.NewClaim(context.Background(), s.topic, s.partition, 0)
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
