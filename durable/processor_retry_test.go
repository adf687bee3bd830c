package durable

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

var errHandler = errors.New("handler failed")

func TestARetryHoldsItsKeyButNoWorker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		c := NewClaim(context.Background(), "t", 0, 1)
		f.feed <- deliveries(c, 0, "bad1", "bad2", "bad3", "bad4", "bad1", "ok1", "ok2", "ok3")
		var rec recorder
		begin := time.Now()
		p := start(f, func(msg *message.Message) error {
			rec.note(msg)
			if strings.HasPrefix(string(msg.Payload), "bad") && time.Since(begin) < 20*time.Second {
				return errHandler
			}
			return nil
		}, ProcessOptions{Concurrency: 4, Backoff: func(int, error) time.Duration { return 30 * time.Second }})
		time.Sleep(10 * time.Second)
		got := f.ackedPositions()
		slices.Sort(got)
		wantList(t, "acked during the backoff", got, []string{"5", "6", "7"})
		if slices.Contains(rec.list(), "4") {
			t.Error("the second delivery of a key started before the retry of the first")
		}
		time.Sleep(25 * time.Second)
		if got := f.ackedPositions(); len(got) != 8 {
			t.Errorf("acked after the backoff: %v, want all 8", got)
		}
		wantNil(t, "Process", p.end())
	})
}

func TestAttemptsAreCountedAndDelayedAsAsked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		c := NewClaim(context.Background(), "t", 0, 1)
		ds := deliveries(c, 0, "k")
		ds[0].Attempt = 3
		f.feed <- ds
		var attempts []int
		var asked []int
		var at []time.Duration
		begin := time.Now()
		p := start(f, func(msg *message.Message) error {
			d, ok := DeliveryOf(msg.Context())
			if !ok || msg.Context().Value(testKey{}) != "value" {
				t.Error("the context has no delivery or lacks the values of Process's")
			}
			attempts = append(attempts, d.Attempt)
			at = append(at, time.Since(begin))
			switch len(attempts) {
			case 1:
				return errHandler
			case 2:
				return RetryAfter(errHandler, 7*time.Second)
			}
			return nil
		}, ProcessOptions{Backoff: func(n int, _ error) time.Duration {
			asked = append(asked, n)
			return time.Second
		}})
		time.Sleep(time.Minute)
		wantNil(t, "Process", p.end())
		if !slices.Equal(attempts, []int{3, 4, 5}) || !slices.Equal(asked, []int{3}) {
			t.Errorf("attempts %v, want [3 4 5]; Backoff asked for %v, want [3]", attempts, asked)
		}
		if !slices.Equal(at, []time.Duration{0, time.Second, 8 * time.Second}) {
			t.Errorf("attempts at %v, want 0s 1s 8s", at)
		}
	})
}

func TestShutdownDuringABackoffReleasesAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "k", "k")
		p := start(f, func(*message.Message) error { return RetryAfter(errHandler, time.Hour) }, ProcessOptions{})
		time.Sleep(time.Second)
		begin := time.Now()
		wantNil(t, "Process", p.end())
		if d := time.Since(begin); d != 0 {
			t.Errorf("the end took %s of virtual time, want none", d)
		}
		wantList(t, "released", f.releasedPositions(), []string{"0", "1"})
		wantList(t, "acked", f.ackedPositions(), nil)
	})
}

func TestAPanicIsAnErrorThatIsRetried(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "k")
		runs := 0
		var seen error
		p := start(f, func(*message.Message) error {
			if runs++; runs == 1 {
				panic(errHandler)
			}
			return nil
		}, ProcessOptions{Backoff: func(_ int, err error) time.Duration { seen = err; return time.Second }})
		time.Sleep(time.Minute)
		wantNil(t, "Process", p.end())
		var pe *PanicError
		if !errors.As(seen, &pe) || !errors.Is(seen, errHandler) || len(pe.Stack) == 0 {
			t.Errorf("error of the attempt: got %#v, want a PanicError with its stack", seen)
		}
		wantList(t, "acked", f.ackedPositions(), []string{"0"})
	})
}

func TestUndecodableDeliveriesGoToTheirOwnHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		ds := deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a", "b")
		ds[1].DecodeErr = errHandler
		f.feed <- ds
		var rec recorder
		var odd []Delivery
		p := start(f, func(msg *message.Message) error { rec.note(msg); return nil },
			ProcessOptions{Undecodable: func(_ context.Context, d Delivery) error { odd = append(odd, d); return nil }})
		time.Sleep(time.Second)
		wantNil(t, "Process", p.end())
		wantList(t, "handled", rec.list(), []string{"0"})
		if len(odd) != 1 || odd[0].Position != "1" || !errors.Is(odd[0].DecodeErr, errHandler) {
			t.Errorf("undecodable: got %v", odd)
		}
	})
}

func TestDefaultBackoffStaysWithinItsBounds(t *testing.T) {
	for attempt := range 100 {
		most := exponential(attempt, backoffFirst, backoffMost)
		if d := DefaultBackoff(attempt, nil); d < time.Millisecond || d > most {
			t.Errorf("attempt %d: %s, want at least 1ms and at most %s", attempt, d, most)
		}
	}
	if RetryAfter(nil, time.Second) != nil {
		t.Error("RetryAfter(nil) is not nil")
	}
	if d, ok := RetryDelay(RetryAfter(errHandler, -1)); d != 0 || !ok {
		t.Errorf("RetryDelay: got %s %v, want 0s true", d, ok)
	}
}

func TestRetriesOfAClaimThatIsGivenUpAreNotKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var m Monitor
		f := newFake(AckEach)
		kept, given := NewClaim(context.Background(), "t", 0, 1), NewClaim(context.Background(), "t", 1, 1)
		f.feed <- append(deliveries(kept, 0, "a"), deliveries(given, 10, "b", "c", "d")...)
		p := start(f, func(*message.Message) error { return RetryAfter(errHandler, time.Hour) }, ProcessOptions{Monitor: &m})
		time.Sleep(time.Second)
		given.Drain()
		time.Sleep(time.Second)
		m.mu.Lock()
		r := m.runs[0]
		m.mu.Unlock()
		r.mu.Lock()
		if n := len(r.retries); n != 1 {
			t.Errorf("%d retries are kept, want the one of the claim that is held", n)
		}
		r.mu.Unlock()
		wantNil(t, "Process", p.end())
	})
}
