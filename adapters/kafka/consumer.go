package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// consumer is one member of a group, with a client of its own.
type consumer struct {
	b      *Backend
	group  durable.Group
	client sarama.Client
	start  *starter
	seat   *seat
	claims context.Context // parent of all claims
	lose   context.CancelCauseFunc
	life   context.Context // of the membership
	leave  context.CancelFunc
	loops  sync.WaitGroup // they end with life
	force  chan struct{}  // closed when Close begins: nobody waits for handlers any more
	ready  chan struct{}  // 1: something for Fetch
	rejoin chan struct{}  // 1: a reason to join again
	commit chan struct{}  // 1: commit now
	unread chan struct{}  // 1: claims without a reader
	saving chan struct{}  // 1: a commit is under way
	late   atomic.Int64   // acks under claims that were lost
	born   time.Time
	lease  atomic.Int64 // until when, since born, the group keeps the claims for this member

	mu       sync.Mutex // never held over I/O
	topics   []string
	wanted   int           // grows with every change of topics
	joined   int           // wanted, as of the last join
	changed  chan struct{} // closed and replaced when joined or pending change
	pending  offsets       // starts to commit once joined
	counts   map[string]int
	held     []*held
	byClaim  map[*durable.Claim]*held
	readers  map[string]*reader // by address
	met      map[string]string  // incarnations by topic
	homeless []*held            // claims without a reader
	turn     int                // whose claim is first at the next Fetch
	fatal    error              // what Fetch returns from now on
	trouble  error              // transient, returned by Fetch once
	troubled bool               // trouble was logged and is not over
	missing  []string           // rights for want of which there is trouble that was logged
	refusal  error              // the last trouble for want of a right; nil: it is over
	closed   bool
	shut     sync.Once
	finished chan struct{}
	shutErr  error // read after finished
}

// Consume implements durable.Backend.
func (b *Backend) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	if err := b.enter(&b.wg); err != nil {
		return nil, fmt.Errorf("kafka: consume: %w", err)
	}
	if err := b.checkGroup(g); err != nil {
		b.wg.Done()
		return nil, fmt.Errorf("kafka: consume: %w", err)
	}
	c := &consumer{
		b: b, group: g, born: time.Now(), force: make(chan struct{}), finished: make(chan struct{}), changed: make(chan struct{}),
		ready: make(chan struct{}, 1), rejoin: make(chan struct{}, 1), commit: make(chan struct{}, 1), unread: make(chan struct{}, 1),
		saving:  make(chan struct{}, 1),
		byClaim: map[*durable.Claim]*held{}, readers: map[string]*reader{}, met: map[string]string{},
	}
	if err := c.open(ctx); err != nil {
		b.wg.Done()
		return nil, fmt.Errorf("kafka: consume as %q: %w", g.Name, err)
	}
	b.mu.Lock()
	b.consumers[c] = struct{}{} // its end is counted in b.wg from now on
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return nil, errors.Join(durable.ErrClosed, c.Close(ctx))
	}
	if err := c.await(ctx, 0); err != nil {
		return nil, errors.Join(fmt.Errorf("kafka: consume as %q: store the starts: %w", g.Name, err), c.Close(ctx))
	}
	return c, nil
}

func (b *Backend) checkGroup(g durable.Group) error {
	if err := durable.CheckGroup(g); err != nil {
		return err
	}
	if b.cfg.StaticMembers && g.Member == "" {
		return durable.Invalid("member", "", "a static member needs a name that it keeps, set Group.Member")
	}
	return nil
}

func (c *consumer) open(ctx context.Context) error {
	made := make(chan error, 1) // sarama takes no context
	c.b.wg.Go(func() { made <- c.connect(ctx) })
	select {
	case err := <-made:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		c.abandon(made)
		return context.Cause(ctx)
	case <-c.b.life.Done():
		c.abandon(made)
		return durable.ErrClosed
	}
	c.claims, c.lose = context.WithCancelCause(context.Background())
	c.life, c.leave = context.WithCancel(context.Background())
	for _, loop := range []func(){c.run, c.beats, c.guard, c.saves, c.places, c.growth} {
		c.loops.Go(loop)
	}
	return nil
}

// abandon closes what connect makes after its caller left.
func (c *consumer) abandon(made <-chan error) {
	c.b.wg.Go(func() {
		if <-made == nil {
			_ = c.client.Close()
		}
	})
}

// connect opens the client and stores the starts that can be stored from outside of the group.
func (c *consumer) connect(ctx context.Context) (err error) {
	conf := c.b.cfg.member(c.group)
	if c.client, err = sarama.NewClient(c.b.cfg.Brokers, conf); err != nil {
		return translate(err)
	}
	admin, err := sarama.NewClusterAdminFromClient(c.client)
	if err != nil {
		return errors.Join(translate(err), c.client.Close())
	}
	c.start = &starter{client: c.client, admin: admin, group: c.group, log: c.jumped}
	c.pending, err = c.start.store(c.group.Topics)
	if errors.Is(err, durable.ErrPositionExpired) {
		c.fatal, err = err, nil
	}
	if err != nil {
		return errors.Join(translateStart(err), c.client.Close())
	}
	if err := context.Cause(ctx); err != nil {
		return errors.Join(err, c.client.Close())
	}
	for _, t := range c.group.Topics {
		c.topics = append(c.topics, t.Topic)
	}
	c.wanted = 1
	c.seat = newSeat(c.client, c.group, c.b.cfg)
	return nil
}

func (c *consumer) jumped(topic string, partition int32, from, to int64) {
	c.b.cfg.Logger.Warn("kafka: position is no longer stored, going on at the oldest record",
		"group", c.group.Name, "topic", topic, "partition", partition, "from", from, "to", to)
}

// await waits until the member has joined with the topics of version, and its starts are stored.
func (c *consumer) await(ctx context.Context, version int) error {
	for {
		c.mu.Lock()
		done := c.fatal != nil || c.joined >= version && len(c.pending) == 0
		changed := c.changed
		c.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.life.Done():
			return durable.ErrClosed
		}
	}
}

// tell wakes await. The caller holds mu.
func (c *consumer) tell() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// poke leaves one wake-up in ch, which has room for one.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// SetTopics implements durable.Consumer. It returns when the member has joined with the new topics; claims of topics
// that are gone are handed over first, and the others go on.
func (c *consumer) SetTopics(ctx context.Context, ts ...durable.TopicStart) error {
	g := c.group
	g.Topics = ts
	if err := durable.CheckGroup(g); err != nil {
		return fmt.Errorf("kafka: set topics: %w", err)
	}
	c.mu.Lock()
	closed, known := c.closed, c.topics
	c.mu.Unlock()
	if closed {
		return fmt.Errorf("kafka: set topics: %w", durable.ErrClosed)
	}
	fresh := slices.DeleteFunc(slices.Clone(ts), func(t durable.TopicStart) bool { return slices.Contains(known, t.Topic) })
	var pending offsets
	err := within(ctx, func() (err error) { pending, err = c.start.store(fresh); return err })
	if err != nil {
		return fmt.Errorf("kafka: set topics of %q: %w", g.Name, translateStart(err))
	}
	names := make([]string, len(ts))
	for i, t := range ts {
		names[i] = t.Topic
	}
	c.mu.Lock()
	c.topics, c.pending = names, c.pending.merged(pending, names)
	c.wanted++
	version := c.wanted
	c.mu.Unlock()
	poke(c.rejoin)
	if err := c.await(ctx, version); err != nil {
		return fmt.Errorf("kafka: set topics of %q: %w", g.Name, err)
	}
	return nil
}
