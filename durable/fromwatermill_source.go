package durable

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// watermillAgain is how long after its end a subscription is made again.
const watermillAgain = time.Second

// watermillSource is the membership in one topic.
type watermillSource struct {
	group Group // its one topic is that of the source
	claim *Claim

	leaving chan struct{} // closed when nothing more is wanted

	// Of the consumer's lock.
	out  int           // handed out and not answered
	left bool          // leaving is closed
	idle chan struct{} // closed when out is 0 and left
}

// subscription is one subscriber that reads one topic.
type subscription struct {
	sub      message.Subscriber
	messages <-chan *message.Message
	end      context.CancelFunc // of what Subscribe was given
}

// join subscribes to t and begins to forward what comes.
func (c *watermillConsumer) join(ctx context.Context, t TopicStart) (*watermillSource, error) {
	g := c.group
	g.Start = t.Start.Or(g.Start).Or(Oldest())
	g.Topics = []TopicStart{{Topic: t.Topic, Start: g.Start}}
	first, err := c.subscribe(ctx, nil, g)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epochs++
	s := &watermillSource{
		group: g, claim: NewClaim(context.Background(), t.Topic, 0, c.epochs),
		leaving: make(chan struct{}), idle: make(chan struct{}),
	}
	c.sources[t.Topic] = s
	c.wg.Go(func() { c.serve(s, first) })
	return s, nil
}

// subscribe makes a subscriber of g and subscribes. Neither takes a context for the call: where ctx or the membership
// ends first, or leaving is closed, what was made is closed later.
func (c *watermillConsumer) subscribe(ctx context.Context, leaving <-chan struct{}, g Group) (subscription, error) {
	type made struct {
		subscription
		err error
	}
	done := make(chan made, 1) // received from in any case
	life, end := context.WithCancel(context.Background())
	go func() {
		sub, messages, err := c.b.subscriber(life, g)
		done <- made{subscription{sub, messages, end}, err}
	}()
	var cause error
	select {
	case m := <-done:
		if m.err != nil {
			end()
		}
		return m.subscription, m.err
	case <-ctx.Done():
		cause = ctx.Err()
	case <-leaving:
		cause = ErrClosed
	case <-c.closing:
		cause = ErrClosed
	}
	end()
	c.wg.Go(func() {
		if m := <-done; m.err == nil {
			_ = m.sub.Close()
		}
	})
	return subscription{}, fmt.Errorf("%s: subscribe to %q: %w", c.b.w.Name, g.Topics[0].Topic, cause)
}

// subscriber makes a subscriber that reads g's topic until life ends.
func (b *watermillBackend) subscriber(life context.Context, g Group) (message.Subscriber, <-chan *message.Message, error) {
	topic := g.Topics[0].Topic
	sub, err := b.w.Subscriber(g)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: subscriber of %q for group %q: %w", b.w.Name, topic, g.Name, err)
	}
	messages, err := sub.Subscribe(life, topic)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: subscribe to %q: %w", b.w.Name, topic, err), sub.Close())
	}
	return sub, messages, nil
}

// serve forwards what comes until the source is left, and subscribes again where the subscription ends before.
func (c *watermillConsumer) serve(s *watermillSource, now subscription) {
	for !c.forward(s, now.messages) {
		now.end()
		err := now.sub.Close()
		c.report(fmt.Errorf("%s: the subscription to %q ended by itself; it is made again: %w",
			c.b.w.Name, s.claim.Topic(), errors.Join(ErrUnavailable, err)))
		next, ok := c.again(s)
		if !ok {
			c.settled(s)
			s.claim.Lose(ErrClosed)
			return
		}
		now = next
	}
	c.quit(s, now)
}

// forward hands over what comes until the source is left, or the subscription ends: false.
func (c *watermillConsumer) forward(s *watermillSource, messages <-chan *message.Message) bool {
	for {
		select {
		case msg, ok := <-messages:
			if !ok {
				return isOver(s.leaving)
			}
			select {
			case c.in <- arrival{msg, s}:
			case <-s.leaving:
				return true
			}
		case <-s.leaving:
			return true
		}
	}
}

// again subscribes until it works; false where the source is left.
func (c *watermillConsumer) again(s *watermillSource) (subscription, bool) {
	for {
		timer := time.NewTimer(watermillAgain)
		select {
		case <-timer.C:
		case <-s.leaving:
			timer.Stop()
			return subscription{}, false
		}
		next, err := c.subscribe(s.claim.Context(), s.leaving, s.group)
		if err == nil {
			return next, true
		}
		if !isOver(s.leaving) {
			c.report(err)
		}
	}
}

// report gives err to the next Fetch unless it has one to tell already.
func (c *watermillConsumer) report(err error) {
	select {
	case c.failed <- err:
	default:
	}
}

// leave ends the forwarding of s; what is with handlers may still be answered.
func (c *watermillConsumer) leave(s *watermillSource) {
	s.claim.Drain()
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.left {
		return
	}
	s.left = true
	if c.sources[s.claim.Topic()] == s {
		delete(c.sources, s.claim.Topic())
	}
	close(s.leaving)
	if s.out == 0 {
		close(s.idle)
	}
}

// settled returns once the deliveries of a source that was left are answered, or the consumer closes.
func (c *watermillConsumer) settled(s *watermillSource) {
	select {
	case <-s.idle:
	case <-c.closing:
	}
}

// quit closes the subscriber of a source that was left, once its deliveries are answered, or the consumer closes, and
// the acks are noted.
func (c *watermillConsumer) quit(s *watermillSource, now subscription) {
	c.settled(s)
	c.awaitNotes()
	now.end()
	err := now.sub.Close()
	s.claim.Lose(ErrClosed)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closeErr = errors.Join(c.closeErr, err)
}
