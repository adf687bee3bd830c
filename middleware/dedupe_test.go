package middleware_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

var errFailed = errors.New("failed")

// counting is a handler that counts its runs and returns what result says of each, from 1.
func counting(runs *atomic.Int64, result func(run int64) error) message.HandlerFunc {
	return func(*message.Message) ([]*message.Message, error) {
		n := runs.Add(1)
		if result == nil {
			return nil, nil
		}
		return nil, result(n)
	}
}

func handle(t *testing.T, h message.HandlerFunc, id string) error {
	t.Helper()
	_, err := h(message.NewMessage(id, nil))
	return err
}

func TestADuplicateIsAcknowledgedWithoutTheHandler(t *testing.T) {
	var runs atomic.Int64
	d := &middleware.Dedupe{Group: "g"}
	h := d.Middleware(counting(&runs, nil))
	for range 3 {
		if err := handle(t, h, "1"); err != nil {
			t.Fatalf("got %v, want nil", err)
		}
	}
	if err := handle(t, h, "2"); err != nil || runs.Load() != 2 {
		t.Errorf("got %d runs and %v, want 2 and nil", runs.Load(), err)
	}
	if s := d.Stats(); s.Handled != 2 || s.Duplicates != 2 {
		t.Errorf("stats: got %+v, want 2 handled and 2 duplicates", s)
	}
}

func TestAFailedFirstTryIsNotSwallowed(t *testing.T) {
	var runs atomic.Int64
	d := &middleware.Dedupe{Group: "g"}
	h := d.Middleware(counting(&runs, func(run int64) error {
		switch run {
		case 1:
			return errFailed
		case 2:
			panic("second")
		}
		return nil
	}))
	if err := handle(t, h, "1"); !errors.Is(err, errFailed) {
		t.Errorf("first: got %v, want the handler's error", err)
	}
	func() {
		defer func() {
			if v := recover(); v != "second" {
				t.Errorf("second: got the panic %v, want the handler's", v)
			}
		}()
		_ = handle(t, h, "1")
	}()
	for range 2 {
		if err := handle(t, h, "1"); err != nil {
			t.Errorf("afterwards: got %v, want nil", err)
		}
	}
	if s := d.Stats(); runs.Load() != 3 || s.Released != 2 || s.Handled != 1 || s.Duplicates != 1 {
		t.Errorf("got %d runs and %+v, want 3 runs, 2 released, 1 handled, 1 duplicate", runs.Load(), s)
	}
}

func TestABusyEventWaitsInPlaceWhereNothingSchedulesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		d := &middleware.Dedupe{Group: "g", Lease: time.Second, BusyWait: time.Hour}
		h := d.Middleware(counting(&runs, func(int64) error { time.Sleep(10 * time.Second); return nil }))
		first := make(chan error, 1)
		go func() { first <- handle(t, h, "1") }()
		synctest.Wait()
		if err := handle(t, h, "1"); err != nil { // a lease that was not extended would end after a second
			t.Errorf("the second attempt: got %v, want nil", err)
		}
		if err := <-first; err != nil || runs.Load() != 1 {
			t.Errorf("got %d runs and %v, want 1 and nil", runs.Load(), err)
		}
		if s := d.Stats(); s.Busy < 50 || s.Duplicates != 1 || s.Lost != 0 {
			t.Errorf("stats: got %+v, want busy all the time, 1 duplicate, nothing lost", s)
		}
	})
}

func TestABusyEventEndsAsErrBusyWhichIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := middleware.NewMemoryDedupe(0)
		d := &middleware.Dedupe{Group: "g", Store: store, BusyWait: time.Minute}
		reserve(t, store, "g\x1f1", 7, time.Hour)
		begin := time.Now()
		err := handle(t, d.Middleware(counting(new(atomic.Int64), nil)), "1")
		if !errors.Is(err, middleware.ErrBusy) || middleware.ClassOf(err) != middleware.ClassBusy {
			t.Errorf("got %v of class %s, want ErrBusy, busy", err, middleware.ClassOf(err))
		}
		if waited := time.Since(begin); waited != time.Minute {
			t.Errorf("waited %s, want BusyWait, 1m", waited)
		}
	})
}

func TestAReservationThatNobodySettlesEndsWithItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, runs := middleware.NewMemoryDedupe(0), new(atomic.Int64)
		reserve(t, store, "g\x1f1", 7, 30*time.Second) // by a process that crashed
		d := &middleware.Dedupe{Group: "g", Store: store}
		if err := handle(t, d.Middleware(counting(runs, nil)), "1"); err != nil || runs.Load() != 1 {
			t.Errorf("got %d runs and %v, want 1 and nil", runs.Load(), err)
		}
	})
}

func TestTheEndOfTheContextDoesNotKeepTheReservation(t *testing.T) {
	d := &middleware.Dedupe{Group: "g"}
	ctx, cancel := context.WithCancel(t.Context())
	msg := message.NewMessage("1", nil)
	msg.SetContext(ctx)
	h := d.Middleware(func(*message.Message) ([]*message.Message, error) { cancel(); return nil, ctx.Err() })
	if _, err := h(msg); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the handler's error", err)
	}
	runs := new(atomic.Int64)
	if err := handle(t, d.Middleware(counting(runs, nil)), "1"); err != nil || runs.Load() != 1 {
		t.Errorf("the next attempt: got %d runs and %v, want 1 and nil", runs.Load(), err)
	}
}

func TestProducedMessagesAreFollowedToTheAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &middleware.Dedupe{Group: "g"}
		runs := new(atomic.Int64)
		h := d.Middleware(func(msg *message.Message) ([]*message.Message, error) {
			runs.Add(1)
			return message.Messages{message.NewMessage("out", nil)}, nil
		})
		first, second := message.NewMessage("1", nil), message.NewMessage("1", nil)
		if out, err := h(first); len(out) != 1 || err != nil {
			t.Fatalf("got %d messages and %v, want 1 and nil", len(out), err)
		}
		first.Nack() // what was produced was not published
		synctest.Wait()
		if out, err := h(second); len(out) != 1 || err != nil {
			t.Fatalf("after the nack: got %d messages and %v, want 1 and nil", len(out), err)
		}
		second.Ack()
		synctest.Wait()
		if out, err := h(message.NewMessage("1", nil)); len(out) != 0 || err != nil || runs.Load() != 2 {
			t.Errorf("after the ack: got %d messages, %v, %d runs, want none, nil, 2", len(out), err, runs.Load())
		}
	})
}

func TestMessagesWithoutIdAreNeverDuplicates(t *testing.T) {
	d, runs := &middleware.Dedupe{Group: "g"}, new(atomic.Int64)
	h := d.Middleware(counting(runs, nil))
	for range 2 {
		if err := handle(t, h, ""); err != nil {
			t.Fatalf("got %v, want nil", err)
		}
	}
	if runs.Load() != 2 || d.Stats().Unkeyed != 2 {
		t.Errorf("got %d runs and %+v, want 2", runs.Load(), d.Stats())
	}
}

func TestTheKeyIsTheSourceAndTheId(t *testing.T) {
	key := func(id, sourceType, sourceID, partition string) string {
		msg, err := durable.Event{ID: id, Type: "t", SourceType: sourceType, SourceID: sourceID}.Message(partition)
		if err != nil {
			t.Fatal(err)
		}
		return middleware.DedupeKey(msg)
	}
	base := key("1", "order", "42", "")
	if same := key("1", "order", "42", "elsewhere"); same != base {
		t.Errorf("the same event: got %q, want %q", same, base)
	}
	for _, other := range []string{key("2", "order", "42", ""), key("1", "cart", "42", ""), key("1", "order", "43", "")} {
		if other == base {
			t.Errorf("another event: got the same key %q", other)
		}
	}
}

func TestDedupeNamesTheFieldThatMakesNoSense(t *testing.T) {
	for field, d := range map[string]*middleware.Dedupe{
		"Dedupe.Lease":     {Lease: -1},
		"Dedupe.Keep":      {Keep: time.Microsecond},
		"Dedupe.BusyPause": {BusyPause: -1},
		"Dedupe.BusyWait":  {BusyWait: -1},
		"Dedupe.StoreDown": {StoreDown: 7},
	} {
		var invalid *durable.InvalidError
		if err := d.Validate(); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	err := handle(t, (&middleware.Dedupe{}).Middleware(counting(new(atomic.Int64), nil)), "1")
	if err == nil || !strings.Contains(err.Error(), "Dedupe.Group") {
		t.Errorf("no group: got %v, want the field named", err)
	}
}

func TestTheMemoryStoreIsBounded(t *testing.T) {
	store := middleware.NewMemoryDedupe(2)
	reserve(t, store, "running", 1, time.Hour)
	for i, key := range []string{"a", "b", "c"} {
		reserve(t, store, key, uint64(i+2), time.Hour)
		if err := store.Settle(t.Context(), []middleware.Settlement{{Key: key, Token: uint64(i + 2), Keep: time.Hour}}); err != nil {
			t.Fatal(err)
		}
	}
	if store.Len() != 2 || store.Evicted() != 2 {
		t.Errorf("got %d keys and %d evicted, want 2 and 2", store.Len(), store.Evicted())
	}
	rs := []middleware.Reservation{{Key: "running", Token: 9, Lease: time.Hour}, {Key: "c", Token: 9, Lease: time.Hour}}
	if err := store.Reserve(t.Context(), rs); err != nil || rs[0].State != middleware.DedupeBusy || rs[1].State != middleware.DedupeHandled {
		t.Errorf("got %v, %v, %v, want busy, handled, nil", rs[0].State, rs[1].State, err)
	}
	reserve(t, store, "d", 9, time.Hour)
	err := store.Reserve(t.Context(), []middleware.Reservation{{Key: "e", Token: 9, Lease: time.Hour}})
	if !errors.Is(err, durable.ErrBackpressure) {
		t.Errorf("full of reservations: got %v, want ErrBackpressure", err)
	}
}

func reserve(t *testing.T, s middleware.DedupeStore, key string, token uint64, lease time.Duration) {
	t.Helper()
	rs := []middleware.Reservation{{Key: key, Token: token, Lease: lease}}
	if err := s.Reserve(t.Context(), rs); err != nil || rs[0].State != middleware.DedupeReserved {
		t.Fatalf("Reserve %q: got %v, %v, want reserved", key, rs[0].State, err)
	}
}
