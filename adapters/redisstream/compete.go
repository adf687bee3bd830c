package redisstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// share is one partition as a competing member has it. What follows claim is guarded by mu of the competitor, except
// where it is the reader's.
type share struct {
	place

	claim   *durable.Claim
	held    map[entryNumber]struct{} // read and not acknowledged
	acks    []durable.Position       // to acknowledge
	acking  []durable.Position       // on their way
	open    int                      // read and not given to Ack
	leaving bool                     // the topic was taken out; the rest is handed over when nothing runs
	paused  bool                     // see Pause
	reading bool                     // a read of it may be on its way
	aside   []durable.Delivery       // read and not fetched when it was paused
	look    bool                     // something is pending that is not held: the reader is to adopt it
	moved   bool                     // the topic has another number of partitions by now

	adopting  bool   // the reader's: own pending entries that are not held are to be read
	adoptFrom string // the reader's: where to look for them next
	claimFrom string // the reader's: where to look for abandoned ones next
}

// competitor is a member of a group under Ordering None: members compete for the entries of each partition.
type competitor struct {
	b       *Backend
	group   durable.Group
	log     *slog.Logger
	epoch   time.Time       // what beat counts from
	beat    atomic.Int64    // when the heart last beat, whether or not the server heard it
	asked   atomic.Int64    // how many deliveries the last Fetch asked for
	ctx     context.Context // ends when Close begins
	cancel  context.CancelFunc
	work    sync.WaitGroup
	batches chan []durable.Delivery // what was read, in order; unbuffered: one batch is read ahead
	again   chan struct{}           // capacity 1: back is not empty
	left    chan struct{}           // closed when the hand-over is over
	leave   sync.Once
	leftErr error // written before left is closed

	refused  refusals
	settling sync.Mutex // held while topics are added or replaced; taken before mu

	mu      sync.Mutex
	shares  []*share
	readers []*reader // of everything together, or of one partition each
	entered bool      // the membership has begun
	ending  bool      // no reader is started any more
	byClaim map[*durable.Claim]*share
	back    []durable.Delivery // released: fetched again first
	rest    []durable.Delivery // of the batch that is being fetched
	epochs  int64              // of claims
	lastAck time.Time
	err     error // why the membership ended before Close
}

var (
	_ durable.Consumer = (*competitor)(nil)
	_ durable.Pauser   = (*competitor)(nil)
)

// compete joins g, of Ordering None, as one member.
func (b *Backend) compete(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	if g.Member == "" {
		g.Member = rand.Text()
	}
	g.Topics = slices.Clone(g.Topics)
	m := &competitor{
		b: b, group: g, log: b.logger().With("group", g.Name), epoch: time.Now(),
		batches: make(chan []durable.Delivery), again: make(chan struct{}, 1),
		left: make(chan struct{}), byClaim: map[*durable.Claim]*share{},
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	for _, t := range g.Topics {
		if err := m.join(ctx, t); err != nil {
			return nil, errors.Join(err, m.abandon())
		}
	}
	if !b.enter(m) {
		return nil, errors.Join(fmt.Errorf("redisstream: %w", durable.ErrClosed), m.abandon())
	}
	m.mu.Lock()
	m.entered = true
	m.startReaders(m.shares)
	m.mu.Unlock()
	m.work.Go(m.maintain)
	return m, nil
}

// join makes the group of every partition of a topic and takes part in it.
func (m *competitor) join(ctx context.Context, t durable.TopicStart) error {
	added, err := m.enroll(ctx, t)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(added)
	return nil
}

// enroll makes the group of every partition of a topic.
func (m *competitor) enroll(ctx context.Context, t durable.TopicStart) ([]*share, error) {
	n, err := m.b.partitions(ctx, t.Topic)
	if err != nil {
		return nil, err
	}
	added := make([]*share, n)
	for p := range n {
		s := &share{place: newPlace(t.Topic, p, n), held: map[entryNumber]struct{}{}}
		if err := m.b.enroll(ctx, m.group, s.place, t.Start.Or(m.group.Start)); err != nil {
			return nil, err
		}
		added[p] = s
	}
	return added, nil
}

// add takes part in partitions. The caller holds mu.
func (m *competitor) add(added []*share) {
	for _, s := range added {
		m.hold(s)
	}
	m.shares = append(m.shares, added...)
	if m.entered {
		m.startReaders(added)
	}
}

// hold gives s a new claim. What is pending of this member and not held is read first. The caller holds mu, and the
// reader does not run or is the caller.
func (m *competitor) hold(s *share) {
	m.epochs++
	s.claim = durable.NewClaim(context.Background(), s.topic, s.partition, m.epochs)
	s.claim.Guard(m.alive)
	s.adopting, s.adoptFrom = true, "-"
	m.byClaim[s.claim] = s
}

// alive tells whether others still have to leave this member's entries alone: a process that stood still for longer
// than ClaimIdle finds out here.
func (m *competitor) alive() bool {
	return time.Since(m.epoch)-time.Duration(m.beat.Load()) < m.b.claimIdle()
}

// lose ends the claim of s with cause. What was read under it and is not to be acknowledged is forgotten. The caller
// holds mu.
func (m *competitor) lose(s *share, cause error) {
	if s.claim == nil {
		return
	}
	s.claim.Lose(cause)
	delete(m.byClaim, s.claim)
	s.claim, s.open, s.paused, s.aside = nil, 0, false, nil
	clear(s.held)
	for _, ps := range [][]durable.Position{s.acks, s.acking} {
		for _, p := range ps {
			s.held[numberOf(entryID(p))] = struct{}{}
		}
	}
}

// fail ends the membership with err: Fetch returns it.
func (m *competitor) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return
	}
	m.err = err
	for _, s := range m.shares {
		m.lose(s, err)
	}
	poke(m.again)
}

// abandon closes what a membership that never began has.
func (m *competitor) abandon() error {
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	return m.Close(ctx)
}

// pause waits for d or the end of the membership; false at its end.
func (m *competitor) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-m.ctx.Done():
		return false
	}
}
