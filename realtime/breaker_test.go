package realtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func failing(context.Context, []Notification) error { return ErrUnavailable }

func TestTheBreakerOpensProbesAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		b := &fakeBackend{respond: failing}
		d := newTestDispatcher(t, b, DispatcherOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for i := range 5 {
			d.Dispatch(note("c", i))
			synctest.Wait()
		}
		s := checkSum(t, d)
		if s.Breaker != BreakerOpen || s.Dropped.Error != 3 || s.Dropped.Breaker != 2 || s.Opened != 1 {
			t.Fatalf("after three failures: %+v", s)
		}
		// Each failed probe costs one notification and doubles the backoff, up to its bound.
		for _, backoff := range []int{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
			before := len(b.batches)
			time.Sleep(time.Duration(backoff)*time.Millisecond - 1)
			if d.Dispatch(note("c", 5)) != 0 || len(b.batches) != before {
				t.Fatalf("sent before %d ms were over", backoff)
			}
			time.Sleep(time.Nanosecond)
			if d.Dispatch(note("c", 6), note("c", 7)) != 2 {
				t.Fatalf("no probe after %d ms", backoff)
			}
			synctest.Wait()
			if len(b.batches) != before+1 || b.batches[before] != 1 {
				t.Fatalf("after %d ms: batches %v", backoff, b.batches[before:])
			}
		}
		b.answer(nil)
		time.Sleep(5 * time.Second)
		d.Dispatch(note("c", 8), note("c", 9))
		synctest.Wait()
		s = checkSum(t, d)
		if s.Breaker != BreakerClosed || s.Sent != 2 || s.Opened != 1 || s.Dropped.Breaker != 2+8*2 {
			t.Errorf("after the recovery: %+v", s)
		}
		if got := fmt.Sprint(b.ids()); got != "[8 9]" {
			t.Errorf("got %s", got)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 2 {
			t.Errorf("one line for each change wanted, got:\n%s", log.String())
		}
	})
}

func TestAnOpeningBreakerDropsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		b := &fakeBackend{respond: func(context.Context, []Notification) error { <-gate; return ErrUnavailable }}
		d := newTestDispatcher(t, b, DispatcherOptions{Batch: 2})
		for i := range 100 {
			d.Dispatch(note("c", i))
		}
		close(gate)
		synctest.Wait()
		s := checkSum(t, d)
		if s.Queued != 0 || s.Dropped.Breaker+s.Dropped.Error != 100 || s.Dropped.Error > 6 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestATimeoutIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBackend{}
		b.hold()
		d := newTestDispatcher(t, b, DispatcherOptions{FailuresToOpen: 1})
		d.Dispatch(note("c", 0))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := checkSum(t, d); s.Dropped.Timeout != 1 || s.Breaker != BreakerOpen {
			t.Errorf("got %+v", s)
		}
	})
}

func TestASuccessBetweenFailuresKeepsTheBreakerClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &fakeBackend{}
		d := newTestDispatcher(t, b, DispatcherOptions{FailuresToOpen: 2})
		for i := range 10 {
			b.answer(nil)
			if i%2 == 0 {
				b.answer(failing)
			}
			d.Dispatch(note("c", i))
			synctest.Wait()
		}
		if s := checkSum(t, d); s.Opened != 0 || s.Dropped.Error != 5 || s.Sent != 5 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestABreakerThatOpensWithinARefusedBatchDropsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		b := &fakeBackend{respond: func(_ context.Context, ns []Notification) error {
			<-gate
			if len(ns) > 1 || ns[0].ID == "1" {
				return fmt.Errorf("refused: %w", ErrInvalid)
			}
			if ns[0].ID != "0" {
				return errors.New("broken")
			}
			return nil
		}}
		d := newTestDispatcher(t, b, DispatcherOptions{})
		d.Dispatch(note("c", 0))
		synctest.Wait()
		for i := 1; i < 10; i++ {
			d.Dispatch(note("c", i))
		}
		close(gate)
		synctest.Wait()
		s := checkSum(t, d)
		if s.Sent != 1 || s.Dropped.Invalid != 1 || s.Dropped.Error != 3 || s.Dropped.Breaker != 5 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestBreakerStatesHaveNames(t *testing.T) {
	got := fmt.Sprint(BreakerClosed, BreakerOpen, BreakerHalfOpen)
	if got != "closed open half-open" {
		t.Errorf("got %s", got)
	}
}
