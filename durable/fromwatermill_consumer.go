package durable

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// watermillConsumer is a member of a group: one subscriber a topic, whose messages come together in Fetch.
type watermillConsumer struct {
	b     *watermillBackend
	group Group

	in     chan arrival // not buffered: what nobody fetches stays with the Pub/Sub
	failed chan error   // one pending error of a subscription
	wg     sync.WaitGroup

	setting sync.Mutex // held by SetTopics; taken before mu

	mu       sync.Mutex
	sources  map[string]*watermillSource
	epochs   int64
	pending  map[*message.Message]arrival // handed out and not answered, by the copy
	noting   map[<-chan struct{}]struct{} // ends of the contexts of what was acked
	tidyAt   int                          // how many of noting there are when it is looked through
	closeErr error                        // of subscribers; read without the lock after finished

	closing  chan struct{}
	once     sync.Once
	finished chan struct{}
}

// arrival is a message as the subscriber gave it, and from where.
type arrival struct {
	msg  *message.Message
	from *watermillSource
}

func newWatermillConsumer(b *watermillBackend, g Group) *watermillConsumer {
	return &watermillConsumer{
		b: b, group: g,
		in: make(chan arrival), failed: make(chan error, 1),
		sources: map[string]*watermillSource{}, pending: map[*message.Message]arrival{}, noting: map[<-chan struct{}]struct{}{},
		closing: make(chan struct{}), finished: make(chan struct{}),
	}
}

// Fetch implements Consumer.
func (c *watermillConsumer) Fetch(ctx context.Context, most int) ([]Delivery, error) {
	if c.isClosing() {
		return nil, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var ds []Delivery
	select {
	case a := <-c.in:
		ds = append(ds, c.hand(a))
	case err := <-c.failed:
		return nil, err
	case <-c.closing:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for len(ds) < most {
		select {
		case a := <-c.in:
			ds = append(ds, c.hand(a))
		default:
			return ds, nil
		}
	}
	return ds, nil
}

func (c *watermillConsumer) isClosing() bool {
	select {
	case <-c.closing:
		return true
	default:
		return false
	}
}

// hand makes the delivery of a: a copy, whose Ack and Nack mean nothing to the subscriber.
func (c *watermillConsumer) hand(a arrival) Delivery {
	given := copyMessage(context.Background(), a.msg)
	d := Delivery{Message: given, Topic: a.from.claim.Topic(), Claim: a.from.claim, Attempt: 1}
	if c.b.w.DecodeErr != nil {
		d.DecodeErr = c.b.w.DecodeErr(given)
	}
	d.Key = Key(given)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending[given] = a
	a.from.out++
	return d
}

// take ends the time of d in work; false where it was answered before.
func (c *watermillConsumer) take(d Delivery) (arrival, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.pending[d.Message]
	if !ok {
		return a, false
	}
	delete(c.pending, d.Message)
	if a.from.out--; a.from.out == 0 && a.from.left {
		close(a.from.idle)
	}
	return a, true
}

// Ack implements Consumer.
func (c *watermillConsumer) Ack(_ context.Context, ds ...Delivery) error {
	for _, d := range ds {
		if d.Claim == nil || d.Claim.Lost() {
			continue
		}
		c.noteOf(d)
		if a, ok := c.take(d); ok {
			a.msg.Ack()
		}
	}
	return nil
}

// noteOf has Close wait for the end of the context of d's message, by which subscribers tell that they took note.
func (c *watermillConsumer) noteOf(d Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.pending[d.Message]
	if !ok {
		return
	}
	done := a.msg.Context().Done()
	if done == nil {
		return
	}
	if c.noting[done] = struct{}{}; len(c.noting) >= c.tidyAt {
		maps.DeleteFunc(c.noting, func(done <-chan struct{}, _ struct{}) bool { return isOver(done) })
		c.tidyAt = max(64, 2*len(c.noting))
	}
}

func isOver(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// Release implements Consumer.
func (c *watermillConsumer) Release(ds ...Delivery) {
	for _, d := range ds {
		a, ok := c.take(d)
		if ok && !isOver(a.from.leaving) { // what is left without an answer goes to others
			a.msg.Nack()
		}
	}
}

// SetTopics implements Consumer.
func (c *watermillConsumer) SetTopics(ctx context.Context, ts ...TopicStart) error {
	g := c.group
	g.Topics = ts
	if err := c.b.check(g); err != nil {
		return err
	}
	c.setting.Lock()
	defer c.setting.Unlock()
	wanted := make(map[string]bool, len(ts))
	var added []*watermillSource
	for _, t := range ts {
		wanted[t.Topic] = true
		if c.source(t.Topic) != nil {
			continue
		}
		s, err := c.join(ctx, t)
		if err != nil {
			for _, s := range added {
				c.leave(s)
			}
			return err
		}
		added = append(added, s)
	}
	c.mu.Lock()
	var removed []*watermillSource
	for topic, s := range c.sources {
		if !wanted[topic] {
			removed = append(removed, s)
		}
	}
	c.mu.Unlock()
	for _, s := range removed {
		c.leave(s)
	}
	return nil
}

func (c *watermillConsumer) source(topic string) *watermillSource {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sources[topic]
}

// Close implements Consumer. Where it returns at the end of ctx, what it began goes on.
func (c *watermillConsumer) Close(ctx context.Context) error {
	c.once.Do(func() {
		close(c.closing)
		go c.finish()
	})
	return awaitClose(ctx, c.finished, c.b.w.Name+": consumer", &c.closeErr)
}

func (c *watermillConsumer) finish() {
	defer close(c.finished)
	c.setting.Lock() // a SetTopics that runs ends first: it looks at closing
	defer c.setting.Unlock()
	c.mu.Lock()
	open := slices.Collect(maps.Values(c.sources))
	c.mu.Unlock()
	for _, s := range open {
		c.leave(s)
	}
	c.wg.Wait()
	for _, s := range open {
		s.claim.Lose(ErrClosed) // where quit did not
	}
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	delete(c.b.consumers, c)
}

// awaitNotes waits until the subscribers have taken note of the acks so far, up to watermillGrace.
func (c *watermillConsumer) awaitNotes() {
	c.mu.Lock()
	noting := slices.Collect(maps.Keys(c.noting))
	c.mu.Unlock()
	timer := time.NewTimer(watermillGrace)
	defer timer.Stop()
	for _, done := range noting {
		select {
		case <-done:
		case <-timer.C:
			return
		}
	}
}
