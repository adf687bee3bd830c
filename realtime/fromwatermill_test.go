package realtime_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"

	"github.com/dualstream/dualstream/realtime"
	"github.com/dualstream/dualstream/realtime/realtimetest"
)

// bus is a GoChannel that keeps the order.
func bus() *gochannel.GoChannel {
	return gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, watermill.NopLogger{})
}

// ending is a subscriber whose Close ends nothing but what Subscribe's context ends.
type ending struct {
	message.Subscriber
	mu    sync.Mutex
	ends  []context.CancelFunc
	fails error
}

func (e *ending) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fails != nil {
		return nil, e.fails
	}
	ctx, cancel := context.WithCancel(ctx)
	e.ends = append(e.ends, cancel)
	return e.Subscriber.Subscribe(ctx, topic)
}

func (e *ending) Close() error { return nil }

// cut ends the subscription that was made last.
func (e *ending) cut() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ends[len(e.ends)-1]()
}

func onBus(t testing.TB) (realtime.Backend, *ending) {
	t.Helper()
	pubsub := bus()
	sub := &ending{Subscriber: pubsub}
	b, err := realtime.FromWatermill(realtime.Watermill{
		Publisher: pubsub, Subscriber: func() (message.Subscriber, error) { return sub, nil }, Close: pubsub.Close,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b, sub
}

func TestAGoChannelIsARealtimeBackend(t *testing.T) {
	var last atomic.Pointer[ending] // checks open backends side by side
	realtimetest.Run(t, realtimetest.Harness{
		New: func(t testing.TB) realtime.Backend {
			b, sub := onBus(t)
			last.Store(sub)
			return b
		},
		Break: func(testing.TB) { last.Load().cut() },
	})
}

// deaf is a subscription that runs some time after Subscribe has returned, as that of watermill-redisstream does.
type deaf struct {
	*gochannel.GoChannel
	late chan struct{} // begins to listen when closed
}

func (d *deaf) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		select {
		case <-d.late:
		case <-ctx.Done():
			return
		}
		in, err := d.GoChannel.Subscribe(ctx, topic)
		if err != nil {
			return
		}
		for msg := range in {
			select {
			case out <- msg:
			case <-ctx.Done():
			}
		}
	}()
	return out, nil
}

func TestSubscribeReturnsWhenTheSubscriptionRuns(t *testing.T) {
	d := &deaf{GoChannel: bus(), late: make(chan struct{})}
	b, err := realtime.FromWatermill(realtime.Watermill{
		Publisher: d, Subscriber: func() (message.Subscriber, error) { return d, nil }, Close: d.Close,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.Background()) }()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Subscribe(short, "events:a:1"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Subscribe of one that does not listen: got %v, want its context's error", err)
	}
	close(d.late)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, err := b.Subscribe(ctx, "events:a:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Notify(ctx, realtime.Notification{Channel: "events:a:1", ID: "1"}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Next(ctx); err != nil || got.Notification.ID != "1" {
		t.Errorf("got %+v, %v, want 1", got, err)
	}
}

func TestWhatIsNoNotificationIsNobodys(t *testing.T) {
	pubsub := bus()
	b, err := realtime.FromWatermill(realtime.Watermill{
		Publisher: pubsub, Subscriber: func() (message.Subscriber, error) { return pubsub, nil }, Topic: "t",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.Background()) }()
	s, err := b.Subscribe(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	other := message.NewMessage("1", []byte("not JSON"))
	named := message.NewMessage("2", []byte(`{"id":"2"}`))
	named.Metadata.Set(realtime.MetaChannel, "c")
	nameless := message.NewMessage("3", []byte(`{"id":"3"}`))
	if err := pubsub.Publish("t", other, nameless, named); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Next(t.Context()); err != nil || got.Notification.ID != "2" {
		t.Errorf("got %+v, %v, want 2", got, err)
	}
}

func TestAPubSubThatFailsIsAnErrorOfTheCall(t *testing.T) {
	errDown := errors.New("down")
	pubsub := bus()
	sub := &ending{Subscriber: pubsub, fails: errDown}
	b, err := realtime.FromWatermill(realtime.Watermill{
		Publisher: failing{errDown}, Subscriber: func() (message.Subscriber, error) { return sub, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Notify(t.Context(), realtime.Notification{Channel: "c", ID: "1"}); !errors.Is(err, errDown) {
		t.Errorf("Notify: got %v, want the publisher's", err)
	}
	if _, err := b.Subscribe(t.Context(), "c"); !errors.Is(err, errDown) {
		t.Errorf("Subscribe: got %v, want an error of the Pub/Sub", err)
	}
	if err := errors.Join(b.Close(t.Context()), pubsub.Close()); err != nil {
		t.Error(err)
	}
	for _, w := range []realtime.Watermill{{}, {Publisher: pubsub}} {
		if _, err := realtime.FromWatermill(w); !errors.Is(err, realtime.ErrInvalid) {
			t.Errorf("%+v: got %v, want ErrInvalid", w, err)
		}
	}
}

// moody is a publisher that fails as often as it is told.
type moody struct {
	message.Publisher
	failures atomic.Int64
}

func (m *moody) Publish(topic string, msgs ...*message.Message) error {
	if m.failures.Add(-1) >= 0 {
		return errors.New("down")
	}
	return m.Publisher.Publish(topic, msgs...)
}

func TestAGapIsToldThoughThePublisherFailsAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pubsub := bus()
		pub, sub := &moody{Publisher: pubsub}, &ending{Subscriber: pubsub}
		b, err := realtime.FromWatermill(realtime.Watermill{
			Publisher: pub, Subscriber: func() (message.Subscriber, error) { return sub, nil }, Close: pubsub.Close,
		})
		if err != nil {
			t.Fatal(err)
		}
		s, err := b.Subscribe(t.Context(), "c")
		if err != nil {
			t.Fatal(err)
		}
		pub.failures.Store(3)
		sub.cut()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if got, err := s.Next(ctx); err != nil || got.Gap != realtime.GapReconnect {
			t.Errorf("got %+v, %v, want a gap", got, err)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Add(t.Context(), "d"); !errors.Is(err, realtime.ErrClosed) {
			t.Errorf("Add after Close: got %v, want ErrClosed", err)
		}
	})
}

type failing struct{ err error }

func (f failing) Publish(string, ...*message.Message) error { return f.err }
func (f failing) Close() error                              { return nil }
