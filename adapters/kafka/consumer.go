package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

const rejoinPause = 250 * time.Millisecond

// consumer is one member of a group, with a client of its own.
type consumer struct {
	b       *Backend
	group   durable.Group
	client  sarama.Client
	start   *starter
	members sarama.ConsumerGroup
	claims  context.Context // parent of all claims
	lose    context.CancelCauseFunc
	life    context.Context // of the membership
	leave   context.CancelFunc
	wg      sync.WaitGroup
	force   chan struct{} // closed when Close begins: nobody waits for handlers any more
	ready   chan struct{} // one pending wake-up of Fetch
	late    atomic.Int64  // acks under claims that were lost

	mu         sync.Mutex // never held over I/O
	topics     []string
	rejoin     context.CancelFunc // ends the current session, to join with other topics
	pending    offsets            // starts to commit once joined
	held       []*held
	assignment map[string][]int32 // partitions by topic, as the newest rebalance gave them; nil: not told
	byClaim    map[*durable.Claim]*held
	turn       int   // whose claim is first at the next Fetch
	fatal      error // what Fetch returns from now on
	trouble    error // transient, returned by Fetch once
	troubled   bool  // trouble was logged and is not over
	closed     bool
	shut       sync.Once
	finished   chan struct{}
	shutErr    error
}

// Consume implements durable.Backend.
func (b *Backend) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	if err := b.enter(&b.wg); err != nil {
		return nil, fmt.Errorf("kafka: consume: %w", err)
	}
	defer b.wg.Done()
	if err := durable.CheckGroup(g); err != nil {
		return nil, fmt.Errorf("kafka: consume: %w", err)
	}
	c := &consumer{
		b: b, group: g, force: make(chan struct{}), ready: make(chan struct{}, 1),
		byClaim: map[*durable.Claim]*held{}, finished: make(chan struct{}),
	}
	if err := c.open(ctx); err != nil {
		return nil, fmt.Errorf("kafka: consume as %q: %w", g.Name, err)
	}
	b.mu.Lock()
	b.consumers[c] = struct{}{}
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return nil, errors.Join(durable.ErrClosed, c.Close(ctx))
	}
	return c, nil
}

func (c *consumer) open(ctx context.Context) error {
	cfg := c.b.cfg.member(c.group, newStrategy(c.assigned))
	made := make(chan error, 1) // sarama takes no context
	c.b.wg.Go(func() { made <- c.connect(ctx, cfg) })
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
	c.wg.Go(c.run)
	c.wg.Go(c.watch)
	return nil
}

// abandon closes what connect makes after its caller left.
func (c *consumer) abandon(made <-chan error) {
	c.b.wg.Go(func() {
		if <-made == nil {
			_ = c.members.Close()
			_ = c.client.Close()
		}
	})
}

// connect opens the client, stores the starts and makes the member.
func (c *consumer) connect(ctx context.Context, cfg *sarama.Config) (err error) {
	if c.client, err = sarama.NewClient(c.b.cfg.Brokers, cfg); err != nil {
		return translate(err)
	}
	admin, err := sarama.NewClusterAdminFromClient(c.client)
	if err != nil {
		return errors.Join(translate(err), c.client.Close())
	}
	c.start = &starter{client: c.client, admin: admin, group: c.group, log: c.jumped}
	c.pending, err = c.start.store(ctx, c.group.Topics)
	if errors.Is(err, durable.ErrPositionExpired) {
		c.fatal, err = err, nil
	}
	if err != nil {
		return errors.Join(translateStart(err), c.client.Close())
	}
	for _, t := range c.group.Topics {
		c.topics = append(c.topics, t.Topic)
	}
	if c.members, err = sarama.NewConsumerGroupFromClient(c.group.Name, c.client); err != nil {
		return errors.Join(err, c.client.Close())
	}
	return nil
}

func (c *consumer) jumped(topic string, partition int32, from, to int64) {
	c.b.cfg.Logger.Warn("kafka: position is no longer stored, going on at the oldest record",
		"group", c.group.Name, "topic", topic, "partition", partition, "from", from, "to", to)
}

// run keeps the member in its group until it leaves or cannot go on.
func (c *consumer) run() {
	for {
		c.mu.Lock()
		topics, stop := c.topics, c.fatal != nil || c.closed
		session, cancel := context.WithCancel(c.life)
		c.rejoin = cancel
		c.mu.Unlock()
		var err error
		if !stop {
			err = c.members.Consume(session, topics, c)
		}
		cancel()
		if stop || c.life.Err() != nil || errors.Is(err, sarama.ErrClosedConsumerGroup) {
			return
		}
		if err == nil {
			c.recovered()
			continue
		}
		c.report(err)
		select {
		case <-time.After(rejoinPause):
		case <-c.life.Done():
			return
		}
	}
}

// watch reads the member's errors; it ends when the group is closed.
func (c *consumer) watch() {
	for err := range c.members.Errors() {
		c.report(err)
	}
}

// report makes Fetch return err: for good where the position is no longer stored and the group is to fail then.
func (c *consumer) report(err error) {
	if c.life.Err() != nil || errors.Is(err, context.Canceled) {
		return
	}
	expired := errors.Is(err, sarama.ErrOffsetOutOfRange)
	if expired && c.group.OnExpired == durable.ExpiredOldest {
		c.b.cfg.Logger.Warn("kafka: position is no longer stored, joining again to go on at the oldest record",
			"group", c.group.Name, "error", err)
		return
	}
	c.mu.Lock()
	first := !c.troubled
	if expired {
		c.fatal = fmt.Errorf("kafka: group %q: %w", c.group.Name, translate(err))
		c.rejoin()
	}
	if first {
		c.troubled, c.trouble = true, fmt.Errorf("kafka: group %q: %w", c.group.Name, translate(err))
	}
	c.mu.Unlock()
	c.wake()
	if first {
		c.b.cfg.Logger.Warn("kafka: consumer is in trouble", "group", c.group.Name, "error", err)
	}
}

func (c *consumer) recovered() {
	c.mu.Lock()
	was := c.troubled
	c.troubled = false
	c.mu.Unlock()
	if was {
		c.b.cfg.Logger.Info("kafka: consumer has recovered", "group", c.group.Name)
	}
}

func (c *consumer) wake() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// SetTopics implements durable.Consumer. The member joins again, which drains its claims for a moment.
func (c *consumer) SetTopics(ctx context.Context, ts ...durable.TopicStart) error {
	g := c.group
	g.Topics = ts
	if err := durable.CheckGroup(g); err != nil {
		return fmt.Errorf("kafka: set topics: %w", err)
	}
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return fmt.Errorf("kafka: set topics: %w", durable.ErrClosed)
	}
	var pending offsets
	err := within(ctx, func() (err error) { pending, err = c.start.store(ctx, ts); return err })
	if err != nil {
		return fmt.Errorf("kafka: set topics of %q: %w", g.Name, translateStart(err))
	}
	names := make([]string, len(ts))
	for i, t := range ts {
		names[i] = t.Topic
	}
	c.mu.Lock()
	c.topics, c.pending = names, pending
	rejoin := c.rejoin
	c.mu.Unlock()
	if rejoin != nil {
		rejoin()
	}
	return nil
}

// Close implements durable.Consumer.
func (c *consumer) Close(ctx context.Context) error {
	c.shut.Do(func() {
		c.mu.Lock()
		c.closed = true
		for _, h := range c.held {
			c.beginDrain(h)
		}
		c.mu.Unlock()
		close(c.force)
		c.leave()
		c.wake()
		c.shutErr = c.end(ctx)
		c.b.mu.Lock()
		delete(c.b.consumers, c)
		c.b.mu.Unlock()
		close(c.finished)
	})
	select {
	case <-c.finished:
		return c.shutErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end leaves the group. What is still out goes to the next owner: who closes a member has stopped handling.
func (c *consumer) end(ctx context.Context) error {
	done := make(chan error, 1) // ends by itself after ctx
	c.b.wg.Go(func() {
		err := c.members.Close()
		c.wg.Wait()
		c.lose(durable.ErrClosed)
		done <- errors.Join(err, c.client.Close())
	})
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("kafka: close the member of %q: %w", c.group.Name, err)
		}
		return nil
	case <-ctx.Done():
		c.lose(durable.ErrClosed)
		return ctx.Err()
	}
}
