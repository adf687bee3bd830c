package durable_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/dualstream/dualstream/durable"
)

var errFirst = errors.New("the first attempt")

// lending is a GoChannel lent to members; closing a subscriber of one ends its subscription alone.
type lending struct {
	*gochannel.GoChannel
	mu     sync.Mutex
	asked  []durable.Group
	closed int
}

func newLending(t testing.TB) *lending {
	t.Helper()
	l := &lending{GoChannel: gochannel.NewGoChannel(gochannel.Config{Persistent: true}, watermill.NopLogger{})}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func (l *lending) subscriber(g durable.Group) (message.Subscriber, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked = append(l.asked, g)
	return &lent{l: l, end: make(chan struct{})}, nil
}

type lent struct {
	l   *lending
	end chan struct{}
}

func (s *lent) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	return s.l.Subscribe(ctx, topic)
}

func (s *lent) Close() error {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	s.l.closed++
	return nil
}

func competing(topics ...string) durable.Group {
	return durable.Group{Name: "g", Topics: durable.Topics(topics...), Ordering: durable.None}
}

func quietly() durable.ProcessOptions {
	return durable.ProcessOptions{
		Backoff: func(int, error) time.Duration { return time.Millisecond }, Logger: slog.New(slog.DiscardHandler),
	}
}

// Process and its retries run on a Pub/Sub of Watermill.
func TestProcessRunsOnAPubSub(t *testing.T) {
	l := newLending(t)
	b := fromWatermill(t, durable.Watermill{Publisher: l, Subscriber: l.subscriber})
	if _, err := b.Append(t.Context(), "t", numbered(20)...); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	var mu sync.Mutex
	runs := map[string]int{}
	done := 0
	err := durable.Process(ctx, b, competing("t"), func(msg *message.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if runs[msg.UUID]++; runs[msg.UUID] == 1 {
			return errFirst
		}
		if done++; done == 20 {
			stop()
		}
		return nil
	}, quietly())
	if err != nil || len(runs) != 20 || done != 20 {
		t.Errorf("got %v and %d of %d messages, want 20 with two runs each", err, done, len(runs))
	}
}

func TestAMemberHasASubscriberOfEachTopic(t *testing.T) {
	l := newLending(t)
	b := fromWatermill(t, durable.Watermill{Publisher: l, Subscriber: l.subscriber})
	g := competing("one", "two")
	g.Topics[1].Start, g.Member = durable.Newest(), "me"
	c, err := b.Consume(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	for i, topic := range []string{"one", "two"} {
		asked := l.asked[i]
		if len(asked.Topics) != 1 || asked.Topics[0].Topic != topic || asked.Member != "me" || asked.Name != "g" {
			t.Errorf("asked for %+v, want topic %q alone", asked, topic)
		}
	}
	if a, b := l.asked[0].Start.Kind(), l.asked[1].Start.Kind(); a != durable.StartOldest || b != durable.StartNewest {
		t.Errorf("got starts %v and %v, want the oldest and the newest", a, b)
	}
	within(t, "SetTopics", func(ctx context.Context) error { return c.SetTopics(ctx, durable.Topics("two", "three")...) })
	within(t, "Close", c.Close)
	if len(l.asked) != 3 || l.closed != 3 {
		t.Errorf("%d subscribers made and %d closed, want 3", len(l.asked), l.closed)
	}
}

// noting is a subscriber that takes note of an ack late, as one does that writes to a broker, and ends now and then.
type noting struct {
	mu     sync.Mutex
	noted  []string
	nacked int
	send   []string
	ends   int // so many subscriptions end by themselves
	subs   int
	delay  time.Duration
}

func (n *noting) Close() error { return nil }

func (n *noting) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	n.mu.Lock()
	n.subs++
	over := n.subs <= n.ends
	n.mu.Unlock()
	go func() {
		defer close(out)
		for !over && n.one(ctx, out) {
			continue
		}
	}()
	return out, nil
}

func (n *noting) one(ctx context.Context, out chan<- *message.Message) bool {
	n.mu.Lock()
	if len(n.send) == 0 {
		n.mu.Unlock()
		<-ctx.Done()
		return false
	}
	own, cancel := context.WithCancel(ctx)
	defer cancel()
	msg := message.NewMessageWithContext(own, n.send[0], nil)
	n.mu.Unlock()
	select {
	case out <- msg:
	case <-ctx.Done():
		return false
	}
	select {
	case <-msg.Acked():
		select {
		case <-time.After(n.delay):
		case <-ctx.Done():
			return false // the ack is lost
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.noted, n.send = append(n.noted, msg.UUID), n.send[1:]
	case <-msg.Nacked():
		n.mu.Lock()
		defer n.mu.Unlock()
		n.nacked++
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

func (n *noting) backend(t *testing.T) durable.Backend {
	return fromWatermill(t, durable.Watermill{
		Publisher: &failing{}, Subscriber: func(durable.Group) (message.Subscriber, error) { return n, nil },
	})
}

func fetchOne(t *testing.T, c durable.Consumer) durable.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ds, err := c.Fetch(ctx, 10)
	if err != nil || len(ds) != 1 {
		t.Fatalf("got %d deliveries and %v, want one", len(ds), err)
	}
	return ds[0]
}

func TestCloseWaitsUntilTheAcksAreNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &noting{send: []string{"a", "b"}, delay: 50 * time.Millisecond}
		c, err := n.backend(t).Consume(t.Context(), competing("t"))
		if err != nil {
			t.Fatal(err)
		}
		within(t, "Ack", func(ctx context.Context) error { return c.Ack(ctx, fetchOne(t, c)) })
		within(t, "Close", c.Close)
		if !slices.Equal(n.noted, []string{"a"}) {
			t.Errorf("the subscriber took note of %v, want a", n.noted)
		}
	})
}

func TestCloseWaitsForTheNotesOfATopicThatWasRemoved(t *testing.T) {
	for range 20 { // what is waited for and the end of the consumer come at once
		n, other := &noting{send: []string{"a", "b"}, delay: 5 * time.Millisecond}, &noting{}
		b := fromWatermill(t, durable.Watermill{Publisher: &failing{}, Subscriber: func(g durable.Group) (message.Subscriber, error) {
			if g.Topics[0].Topic == "other" {
				return other, nil
			}
			return n, nil
		}})
		c, err := b.Consume(t.Context(), competing("t", "other"))
		if err != nil {
			t.Fatal(err)
		}
		d := fetchOne(t, c)
		within(t, "SetTopics", func(ctx context.Context) error { return c.SetTopics(ctx, durable.Topics("other")...) })
		within(t, "Ack", func(ctx context.Context) error { return c.Ack(ctx, d) })
		within(t, "Close", c.Close)
		if !slices.Equal(n.noted, []string{"a"}) {
			t.Fatalf("the subscriber took note of %v, want a", n.noted)
		}
	}
}

func TestAMemberThatIsMadeWhileItsBackendClosesIsClosed(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	l := newLending(t)
	b := fromWatermill(t, durable.Watermill{Publisher: l, Subscriber: func(g durable.Group) (message.Subscriber, error) {
		close(begun)
		<-end
		return l.subscriber(g)
	}})
	made := make(chan error)
	go func() {
		_, err := b.Consume(context.Background(), competing("t"))
		made <- err
	}()
	<-begun
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Close(over); !errors.Is(err, context.Canceled) {
		t.Errorf("Close while a member is made: got %v, want its context's error", err)
	}
	close(end)
	if err := <-made; !errors.Is(err, durable.ErrClosed) {
		t.Errorf("Consume: got %v, want ErrClosed", err)
	}
	within(t, "Close", b.Close)
	if l.closed != 1 {
		t.Errorf("%d subscribers were closed, want 1", l.closed)
	}
}

func TestAnAnswerCountsOnce(t *testing.T) {
	n := &noting{send: []string{"a", "b"}}
	c, err := n.backend(t).Consume(t.Context(), competing("t"))
	if err != nil {
		t.Fatal(err)
	}
	d := fetchOne(t, c)
	d.Message.Ack() // of a copy: it means nothing
	c.Release(d, d)
	again := fetchOne(t, c)
	if again.Message.UUID != "a" || n.nacked != 1 {
		t.Errorf("got %s and %d nacks, want a again after one", again.Message.UUID, n.nacked)
	}
	within(t, "Ack", func(ctx context.Context) error { return c.Ack(ctx, again, d, again) })
	c.Release(again)
	if next := fetchOne(t, c); next.Message.UUID != "b" || n.nacked != 1 {
		t.Errorf("got %s and %d nacks, want b", next.Message.UUID, n.nacked)
	}
	within(t, "Close", c.Close)
	within(t, "Ack after Close", func(ctx context.Context) error { return c.Ack(ctx, d) })
}

func TestASubscriptionThatEndsIsToldAndMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &noting{send: []string{"a"}, ends: 2}
		c, err := n.backend(t).Consume(t.Context(), competing("t"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		told := 0
		for {
			ds, err := c.Fetch(ctx, 1)
			if err == nil {
				if ds[0].Message.UUID != "a" || told != 2 {
					t.Errorf("got %s after %d errors, want a after 2", ds[0].Message.UUID, told)
				}
				break
			}
			if !errors.Is(err, durable.ErrUnavailable) {
				t.Fatalf("got %v, want ErrUnavailable", err)
			}
			told++
		}
		within(t, "Close", c.Close)
	})
}

func TestASubscriberThatIsNotMadeIsAnErrorOfConsume(t *testing.T) {
	errMade := errors.New("no route")
	b := fromWatermill(t, durable.Watermill{
		Publisher: &failing{}, Subscriber: func(durable.Group) (message.Subscriber, error) { return nil, errMade },
	})
	if _, err := b.Consume(t.Context(), competing("t")); !errors.Is(err, errMade) {
		t.Errorf("got %v, want the constructor's", err)
	}
}

func TestConsumeIsBoundedWhereSubscribeIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		n := &noting{}
		b := fromWatermill(t, durable.Watermill{Publisher: &failing{}, Subscriber: func(durable.Group) (message.Subscriber, error) {
			<-end
			return n, nil
		}})
		time.AfterFunc(100*time.Millisecond, func() { close(end) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := b.Consume(ctx, competing("t")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want context.DeadlineExceeded", err)
		}
	})
}

func TestWhatTheUnmarshallerCouldNotReadIsSaid(t *testing.T) {
	n := &noting{send: []string{"a"}}
	b := fromWatermill(t, durable.Watermill{
		Publisher: &failing{}, Subscriber: func(durable.Group) (message.Subscriber, error) { return n, nil },
		DecodeErr: func(m *message.Message) error { return fmt.Errorf("%s: %w", m.UUID, errBroker) },
	})
	c, err := b.Consume(t.Context(), competing("t"))
	if err != nil {
		t.Fatal(err)
	}
	if d := fetchOne(t, c); !errors.Is(d.DecodeErr, errBroker) {
		t.Errorf("got %v", d.DecodeErr)
	}
}
