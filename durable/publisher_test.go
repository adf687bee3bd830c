package durable

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// stalled is a backend whose Append waits until it is freed.
type stalled struct {
	*fake
	free  chan struct{}
	calls atomic.Int64
	mu    sync.Mutex
	order []string // first message of each append
}

func newStalled() *stalled { return &stalled{fake: newFake(AckEach), free: make(chan struct{})} }

func (s *stalled) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]Position, error) {
	s.calls.Add(1)
	s.mu.Lock()
	s.order = append(s.order, msgs[0].UUID)
	s.mu.Unlock()
	select {
	case <-s.free:
		return make([]Position, len(msgs)), nil
	case <-ctx.Done():
		return make([]Position, len(msgs)), FailAll(topic, len(msgs), Unknown, ctx.Err())
	}
}

func (s *stalled) Capabilities() Capabilities { return Capabilities{MaxMessageBytes: 1000} }

func publisher(t *testing.T, b Backend, o PublisherOptions) *Publisher {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	p, err := NewPublisher(b, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func batch(id string, n int) []*message.Message {
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = message.NewMessage(id, []byte("12345678"))
	}
	return msgs
}

func wantAll(t *testing.T, err, reason error, status Status, n int) {
	t.Helper()
	var b *BatchError
	if !errors.Is(err, reason) || !errors.As(err, &b) || len(b.Outcomes) != n {
		t.Fatalf("got %v, want a BatchError of %d that is %v", err, n, reason)
	}
	for i, o := range b.Outcomes {
		if o.Status != status {
			t.Errorf("message %d: %s, want %s", i, o.Status, status)
		}
	}
}

func TestNoRoomInTimeIsBackpressureAndNothingIsStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStalled()
		p := publisher(t, s, PublisherOptions{MaxInFlight: 10})
		go func() { _, _ = p.Append(context.Background(), "t", batch("first", 8)...) }()
		synctest.Wait()
		begin := time.Now()
		_, err := p.Append(context.Background(), "t", batch("second", 3)...)
		wantAll(t, err, ErrBackpressure, NotSent, 3)
		if !strings.Contains(err.Error(), "nothing stored") || time.Since(begin) != DefaultPublishWait {
			t.Errorf("got %q after %s", err, time.Since(begin))
		}
		if st := p.Stats(); st.InFlight != 8 || st.Waiting != 0 || s.calls.Load() != 1 {
			t.Errorf("stats %+v, %d calls", st, s.calls.Load())
		}
		close(s.free)
		synctest.Wait()
		wantNil(t, "Publish with room again", p.Publish("t", batch("third", 10)...))
		if st := p.Stats(); st.InFlight != 0 || st.InFlightBytes != 0 || st.Stored != 18 || st.Refused != 3 {
			t.Errorf("stats at the end: %+v, want nothing in flight, 18 stored, 3 refused", st)
		}
	})
}

func TestBytesAreBoundedToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStalled()
		p := publisher(t, s, PublisherOptions{MaxInFlightBytes: 20, Wait: -1})
		go func() { _ = p.Publish("t", batch("a", 2)...) }()
		synctest.Wait()
		_, err := p.Append(context.Background(), "t", batch("b", 1)...)
		wantAll(t, err, ErrBackpressure, NotSent, 1)
		close(s.free)
	})
}

func TestWaitersAreServedInTheirOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStalled()
		p := publisher(t, s, PublisherOptions{MaxInFlight: 4, Wait: time.Hour})
		for _, c := range []struct {
			id string
			n  int
		}{{"a", 3}, {"large", 4}, {"small", 1}} {
			go func() { _ = p.Publish("t", batch(c.id, c.n)...) }()
			synctest.Wait()
		}
		if st := p.Stats(); st.Waiting != 2 {
			t.Errorf("%d wait, want 2: the small one must not overtake the large one", st.Waiting)
		}
		close(s.free)
		synctest.Wait()
		if want := []string{"a", "large", "small"}; !slices.Equal(s.order, want) {
			t.Errorf("order %v, want %v", s.order, want)
		}
	})
}

func TestALeavingWaiterLetsThoseBehindItIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStalled()
		p := publisher(t, s, PublisherOptions{MaxInFlight: 4, Wait: time.Hour})
		ctx, cancel := context.WithCancel(context.Background())
		errs := make(chan error, 1)
		go func() { _ = p.Publish("t", batch("a", 3)...) }()
		synctest.Wait()
		go func() {
			_, err := p.Append(ctx, "t", batch("large", 4)...)
			errs <- err
		}()
		synctest.Wait()
		go func() { _ = p.Publish("t", batch("small", 1)...) }()
		synctest.Wait()
		cancel()
		wantAll(t, <-errs, context.Canceled, NotSent, 4)
		synctest.Wait()
		if got := s.calls.Load(); got != 2 {
			t.Errorf("%d appends reached the backend, want a and small", got)
		}
		close(s.free)
	})
}

func TestBadAppendsAreRefusedBeforeAnythingIsSent(t *testing.T) {
	s := newStalled()
	p := publisher(t, s, PublisherOptions{MaxInFlight: 5, MaxInFlightBytes: 1500})
	ctx := context.Background()
	large := message.NewMessage("", make([]byte, 1001))
	_, err := p.Append(ctx, "t", large)
	wantAll(t, err, ErrTooLarge, Rejected, 1)
	_, err = p.Append(ctx, "bad topic", batch("a", 2)...)
	wantAll(t, err, ErrInvalid, Rejected, 2)
	_, err = p.Append(ctx, "t", batch("a", 6)...)
	wantAll(t, err, ErrInvalid, Rejected, 6)
	_, err = p.Append(ctx, "t", message.NewMessage("", make([]byte, 800)), message.NewMessage("", make([]byte, 800)))
	wantAll(t, err, ErrInvalid, Rejected, 2)
	if err := p.Publish("t", nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("a nil message: got %v", err)
	}
	if pos, err := p.Append(ctx, "t"); pos != nil || err != nil {
		t.Errorf("an empty batch: got %v, %v", pos, err)
	}
	wantNil(t, "an empty Publish", p.Publish("bad topic"))
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err = p.Append(ended, "t", batch("a", 1)...)
	wantAll(t, err, context.Canceled, NotSent, 1)
	if s.calls.Load() != 0 {
		t.Errorf("%d calls reached the backend", s.calls.Load())
	}
	if _, err := NewPublisher(nil, PublisherOptions{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("no backend: got %v", err)
	}
	if _, err := NewPublisher(s, PublisherOptions{MaxInFlight: -1}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a negative bound: got %v", err)
	}
}

func TestCloseRefusesWaitersAndWaitsForWhatIsInFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newStalled()
		p := publisher(t, s, PublisherOptions{MaxInFlight: 1, Wait: time.Hour})
		go func() { _ = p.Publish("t", batch("a", 1)...) }()
		synctest.Wait()
		errs := make(chan error, 1)
		go func() { errs <- p.Publish("t", batch("b", 1)...) }()
		synctest.Wait()
		if err := p.Close(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close with an append that does not end: got %v", err)
		}
		wantAll(t, <-errs, ErrClosed, NotSent, 1)
		wantAll(t, p.Publish("t", batch("c", 1)...), ErrClosed, NotSent, 1)
		close(s.free)
		wantNil(t, "Close again", p.Close())
		if s.closed {
			t.Error("the backend was closed: it is not the Publisher's")
		}
	})
}

func TestABrokerThatTakesNothingCostsNoGoroutinesBeyondTheCallers(t *testing.T) {
	s := newStalled()
	p := publisher(t, s, PublisherOptions{MaxInFlight: 100, Wait: -1})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	before := runtime.NumGoroutine()
	wg.Go(func() { _, _ = p.Append(ctx, "t", batch("a", 100)...) })
	for s.calls.Load() == 0 {
		runtime.Gosched()
	}
	for range 10_000 {
		if _, err := p.Append(ctx, "t", batch("b", 1)...); !errors.Is(err, ErrBackpressure) {
			t.Fatalf("got %v, want ErrBackpressure", err)
		}
	}
	if n := runtime.NumGoroutine() - before; n > 1 {
		t.Errorf("%d goroutines more, want the one caller", n)
	}
	cancel()
	wg.Wait()
}

func BenchmarkPublisher(b *testing.B) {
	s := newStalled()
	close(s.free)
	p, err := NewPublisher(instant{s.fake}, PublisherOptions{})
	if err != nil {
		b.Fatal(err)
	}
	msgs := batch("a", 1)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Append(context.Background(), "t", msgs...); err != nil {
			b.Fatal(err)
		}
	}
}

// instant is a backend that stores nothing at once.
type instant struct{ *fake }

func (instant) Append(context.Context, string, ...*message.Message) ([]Position, error) {
	return nil, nil
}
