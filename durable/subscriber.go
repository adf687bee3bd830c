package durable

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Subscriber is Watermill's message.Subscriber on the engine of [Process], for its Router and everything else that
// takes one. Every Subscribe is one member of the group.
//
// A message is acknowledged at the backend when its receiver calls Ack; after Nack it comes again, after
// ProcessOptions.Backoff, as a new message that has nothing of what the receiver did to the first. Up to Concurrency
// messages are with receivers at a time: those of one key one after the other, and so are those without a key within
// one partition. The context of a message has the values of Subscribe's and the delivery (see [DeliveryOf]); it ends
// with Ack and Nack, when the claim is lost, and when DrainTimeout is over. An answer after its end changes nothing.
type Subscriber struct {
	backend Backend
	group   Group
	o       ProcessOptions
	life    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	count  int // subscriptions so far
}

var (
	_ message.Subscriber           = (*Subscriber)(nil)
	_ message.SubscribeInitializer = (*Subscriber)(nil)
)

// errClosing is why a message that nobody took is given back.
var errClosing = errors.New("the subscription ends")

// errNacked is the error of an attempt that ended with Nack.
var errNacked = errors.New("the message was nacked")

// NewSubscriber returns a Subscriber whose subscriptions are members of g, whose Topics are not used: Subscribe names
// them. b stays the caller's to close, after the Subscriber. The error is an *InvalidError.
func NewSubscriber(b Backend, g Group, o ProcessOptions) (*Subscriber, error) {
	if b == nil {
		return nil, Invalid("backend", "nil", "pass a backend")
	}
	o, err := o.filled()
	if err != nil {
		return nil, err
	}
	g.Topics = Topics("any")
	if err := CheckGroup(g); err != nil {
		return nil, err
	}
	s := &Subscriber{backend: b, group: g, o: o}
	s.life, s.end = context.WithCancel(context.Background())
	return s, nil
}

// Subscribe joins the group as a member that consumes topic until ctx ends or Close. What waits in the channel, up to
// Concurrency messages, is with no receiver yet: it is taken back at the end, and when its claim is lost. The channel is
// closed when the membership has ended: also where the backend ends it, which is logged.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	g := s.group
	g.Topics = Topics(topic)
	if err := CheckGroup(g); err != nil {
		return nil, err
	}
	if err := s.begin(&g); err != nil {
		return nil, fmt.Errorf("durable: subscribe to %q: %w", topic, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.life, cancel)
	r, err := join(ctx, s.backend, g, s.o)
	if err != nil {
		stop()
		cancel()
		s.running.Done()
		return nil, err
	}
	out := make(chan *message.Message, min(s.o.Concurrency, s.o.MaxInFlight))
	r.strict, r.worker, r.workersMost = true, r.give, 1
	r.giving = &giving{out: out}
	go func() {
		defer s.running.Done()
		defer close(out)
		defer cancel()
		defer stop()
		if err := r.toTheEnd(); err != nil {
			s.o.Logger.Error("durable: subscription ended", "topic", topic, "error", err)
		}
	}()
	return out, nil
}

// begin counts a subscription and gives it a name of its own where the group names its member.
func (s *Subscriber) begin(g *Group) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.count++
	if g.Member != "" && s.count > 1 {
		g.Member += "-" + strconv.Itoa(s.count)
	}
	s.running.Add(1)
	return nil
}

// SubscribeInitialize makes topic, where the backend can, and the group's position in it, so that what is published from
// now on is seen by a later Subscribe, whatever the group's Start is.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	if a, ok := s.backend.(Administrator); ok {
		err := a.CreateTopic(s.life, TopicSpec{Name: topic})
		if err != nil && !errors.Is(err, ErrTopicExists) && !errors.Is(err, ErrUnsupported) {
			return fmt.Errorf("durable: initialize %q: %w", topic, err)
		}
	}
	g := s.group
	g.Topics = Topics(topic)
	if err := CheckGroup(g); err != nil {
		return err
	}
	if g.Member != "" { // another one than those of Subscribe, which may run
		g.Member += "-initialize"
	}
	c, err := s.backend.Consume(s.life, g)
	if err != nil {
		return fmt.Errorf("durable: initialize %q: %w", topic, err)
	}
	ctx, cancel := context.WithTimeout(s.life, leaveTimeout)
	defer cancel()
	return c.Close(ctx)
}

// Close ends all subscriptions and waits for them: what nobody has taken is given back, and what is with receivers may
// still be acknowledged for DrainTimeout. It is idempotent.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.end()
	s.running.Wait()
	return nil
}
