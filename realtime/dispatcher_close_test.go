package realtime

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestDispatchAfterCloseIsCounted(t *testing.T) {
	d := newTestDispatcher(t, &fakeBackend{}, DispatcherOptions{})
	closeDispatcher(t, d)
	if got := d.Dispatch(note("c", 1), note("c", 2)); got != 0 {
		t.Errorf("accepted %d, want 0", got)
	}
	if s := closeDispatcher(t, d); s.Dropped.Closed != 2 {
		t.Errorf("got %+v", s)
	}
}

func TestCloseCancelsASlowBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBackend{}
		entered, _ := b.hold()
		d, err := NewDispatcher(b, DispatcherOptions{Timeout: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		d.Dispatch(note("c", 0))
		<-entered
		d.Dispatch(note("c", 1), note("c", 2))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := d.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		if s := checkSum(t, d); s.Dropped.Closed != 3 || s.Opened != 0 {
			t.Errorf("got %+v", s)
		}
		if err := d.Close(ctx); err != nil {
			t.Errorf("second close: %v", err)
		}
	})
}

func TestCloseIsBoundedWhereTheBackendIgnoresItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, stuck := &fakeBackend{}, make(chan struct{})
		b.answer(func(context.Context, []Notification) error { <-stuck; return nil })
		d, err := NewDispatcher(b, DispatcherOptions{})
		if err != nil {
			t.Fatal(err)
		}
		d.Dispatch(note("c", 0))
		synctest.Wait()
		d.Dispatch(note("c", 1))
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		start := time.Now()
		for range 2 {
			if err := d.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want DeadlineExceeded", err)
			}
		}
		if took := time.Since(start); took != time.Minute+2*closeGrace {
			t.Errorf("took %v of the fake clock", took)
		}
		if s := checkSum(t, d); s.InFlight != 1 || s.Dropped.Closed != 1 {
			t.Errorf("got %+v", s)
		}
		close(stuck)
		<-d.done
		if s := checkSum(t, d); s.Sent != 1 || s.InFlight != 0 {
			t.Errorf("got %+v", s)
		}
	})
}
