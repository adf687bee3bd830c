package middleware_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// brokenStore is a MemoryDedupe that fails while it is down.
type brokenStore struct {
	*middleware.MemoryDedupe
	down  atomic.Bool
	calls atomic.Int64
}

func (s *brokenStore) Reserve(ctx context.Context, rs []middleware.Reservation) error {
	s.calls.Add(1)
	if s.down.Load() {
		return errFailed
	}
	return s.MemoryDedupe.Reserve(ctx, rs)
}

func TestAStoreThatIsDownHoldsEventsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, runs := &brokenStore{MemoryDedupe: middleware.NewMemoryDedupe(0)}, new(atomic.Int64)
		d := &middleware.Dedupe{Group: "g", Store: store, Logger: silent}
		h := d.Middleware(counting(runs, nil))
		store.down.Store(true)
		err := handle(t, h, "1")
		if !errors.Is(err, errFailed) || middleware.ClassOf(err) != middleware.ClassBusy || runs.Load() != 0 {
			t.Errorf("got %v of class %s after %d runs, want the store's error, busy, 0", err, middleware.ClassOf(err), runs.Load())
		}
		store.down.Store(false)
		time.Sleep(2 * time.Second)
		if err := handle(t, h, "1"); err != nil || runs.Load() != 1 {
			t.Errorf("afterwards: got %d runs and %v, want 1 and nil", runs.Load(), err)
		}
		if s := d.Stats(); s.Held != 1 || s.StoreErrors != 1 {
			t.Errorf("stats: got %+v, want 1 held and 1 error", s)
		}
	})
}

func TestAStoreThatIsDownLetsEventsPassWhereToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, runs := &brokenStore{MemoryDedupe: middleware.NewMemoryDedupe(0)}, new(atomic.Int64)
		d := &middleware.Dedupe{Group: "g", Store: store, StoreDown: middleware.FailOpen, Logger: silent}
		h := d.Middleware(counting(runs, nil))
		store.down.Store(true)
		for range 100 {
			if err := handle(t, h, "1"); err != nil {
				t.Fatalf("got %v, want nil", err)
			}
		}
		if n := store.calls.Load(); n != 1 || runs.Load() != 100 {
			t.Errorf("got %d calls of the store and %d runs, want 1 (it is left alone for a while) and 100", n, runs.Load())
		}
		store.down.Store(false)
		time.Sleep(2 * time.Second)
		for range 2 {
			if err := handle(t, h, "1"); err != nil {
				t.Fatalf("got %v, want nil", err)
			}
		}
		if s := d.Stats(); runs.Load() != 101 || s.Unchecked != 100 || s.Handled != 1 || s.Duplicates != 1 {
			t.Errorf("got %d runs and %+v, want 101, 100 unchecked, 1 handled, 1 duplicate", runs.Load(), s)
		}
	})
}

// stored returns a memory backend whose topic "t" holds the same event under two keys.
func stored(t *testing.T) *memory.Backend {
	t.Helper()
	b, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a", "b"} {
		msg, err := durable.Event{ID: "1", Type: "x", SourceType: "s", SourceID: "1"}.Message(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Append(t.Context(), "t", msg); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestUnderProcessABusyEventIsGivenBackAndNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := stored(t)
		d := &middleware.Dedupe{}
		var runs, attempts atomic.Int64
		h := d.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			runs.Add(1)
			time.Sleep(5 * time.Second)
			return nil, nil
		})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- durable.Process(ctx, b, durable.Group{Name: "g", Topics: durable.Topics("t")}, func(msg *message.Message) error {
				delivery, _ := durable.DeliveryOf(msg.Context())
				attempts.Store(max(attempts.Load(), int64(delivery.Attempt)))
				_, err := h(msg)
				return err
			}, durable.ProcessOptions{Logger: silent})
		}()
		time.Sleep(10 * time.Second)
		stop()
		if err := <-done; err != nil {
			t.Errorf("Process: got %v, want nil", err)
		}
		if s := d.Stats(); runs.Load() != 1 || s.Handled != 1 || s.Duplicates != 1 || s.Busy < 10 || attempts.Load() != 1 {
			t.Errorf("got %d runs, %d attempts, %+v, want 1, 1, 1 handled, 1 duplicate, busy meanwhile", runs.Load(), attempts.Load(), s)
		}
		if err := b.Close(t.Context()); err != nil {
			t.Errorf("Close: got %v, want nil", err)
		}
	})
}

func TestUnderProcessWhatProducesMessagesIsNotRemembered(t *testing.T) {
	b := stored(t)
	d := &middleware.Dedupe{Logger: silent}
	h := d.Middleware(func(*message.Message) ([]*message.Message, error) {
		return message.Messages{message.NewMessage("out", nil)}, nil
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var published atomic.Int64
	err := durable.Process(ctx, b, durable.Group{Name: "g", Topics: durable.Topics("t")}, func(msg *message.Message) error {
		out, err := h(msg)
		if published.Add(int64(len(out))) == 2 {
			stop()
		}
		return err
	}, durable.ProcessOptions{Concurrency: 1, Logger: silent})
	if err != nil || d.Stats().Released != 2 {
		t.Errorf("got %v and %+v, want nil and both given up", err, d.Stats())
	}
	if err := b.Close(t.Context()); err != nil {
		t.Errorf("Close: got %v, want nil", err)
	}
}

func BenchmarkDedupeOnMemory(b *testing.B) {
	d := &middleware.Dedupe{Group: "g"}
	h := d.Middleware(func(*message.Message) ([]*message.Message, error) { return nil, nil })
	ids := make([]*message.Message, 1<<16)
	for i := range ids {
		ids[i] = message.NewMessage(durable.NewID(), nil)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := h(ids[i%len(ids)]); err != nil {
			b.Fatal(err)
		}
	}
}
