package middleware_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// batchOf are deliveries of events; an element is "id:key".
func batchOf(t *testing.T, names ...string) []durable.Delivery {
	ds := make([]durable.Delivery, len(names))
	for i, n := range names {
		ds[i] = durable.Delivery{Message: event(t, n[:1], n[2:]), Key: n[2:]}
	}
	return ds
}

// seenIDs records what a batch handler is given, and fails the ids that fail says.
func seenIDs(seen *log[string], fail func(id string) bool) durable.BatchHandler {
	return func(_ context.Context, ds []durable.Delivery) []error {
		errs := make([]error, len(ds))
		for i, d := range ds {
			id := d.Message.Metadata[durable.MetaID]
			seen.add(id)
			if fail(id) {
				errs[i] = errHandler
			}
		}
		return errs
	}
}

func TestABatchIsDecidedEventByEvent(t *testing.T) {
	d := &middleware.Dedupe{Group: "g"}
	var first, second log[string]
	ds := batchOf(t, "1:a", "2:b", "2:b", "3:a", "4:c")
	errs := d.Batch(seenIDs(&first, func(id string) bool { return id == "1" }))(t.Context(), ds)
	if !slices.Equal(first.list(), []string{"1", "2", "3", "4"}) || errs[0] == nil || errs[1] != nil || middleware.ClassOf(errs[2]) != middleware.ClassBusy || errs[4] != nil {
		t.Errorf("first: handled %v with %v, want the repeat of 2 busy", first.list(), errs)
	}
	errs = d.Batch(seenIDs(&second, func(string) bool { return false }))(t.Context(), ds)
	if !slices.Equal(second.list(), []string{"1", "3"}) || slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		t.Errorf("second: handled %v with %v, want 1 and, behind it, 3 again", second.list(), errs)
	}
	if s := d.Stats(); s.Handled != 4 || s.Released != 2 || s.Duplicates != 3 || s.Busy != 1 {
		t.Errorf("stats: got %+v, want 4 handled, 2 released, 3 duplicates, 1 busy", s)
	}
}

func TestNothingBehindABusyEventOfItsKeyIsHandled(t *testing.T) {
	store := middleware.NewMemoryDedupe(0)
	d := &middleware.Dedupe{Group: "g", Store: store}
	ds := batchOf(t, "1:a", "2:a", "3:b")
	reserve(t, store, "g\x1f"+middleware.DedupeKey(ds[0].Message), 7, time.Hour)
	var seen log[string]
	errs := d.Batch(seenIDs(&seen, func(string) bool { return false }))(t.Context(), ds)
	if !slices.Equal(seen.list(), []string{"3"}) || errs[0] == nil || errs[1] == nil || errs[2] != nil {
		t.Errorf("handled %v with %v, want 3 alone", seen.list(), errs)
	}
	reserve(t, store, "g\x1f"+middleware.DedupeKey(ds[1].Message), 8, time.Hour) // it was given up
}

func TestAPanicGivesTheBatchUp(t *testing.T) {
	d := &middleware.Dedupe{Group: "g"}
	ds := batchOf(t, "1:a", "2:b")
	func() {
		defer func() { _ = recover() }()
		d.Batch(func(context.Context, []durable.Delivery) []error { panic("x") })(t.Context(), ds)
	}()
	var seen log[string]
	d.Batch(seenIDs(&seen, func(string) bool { return false }))(t.Context(), ds)
	if !slices.Equal(seen.list(), []string{"1", "2"}) || d.Stats().Released != 2 {
		t.Errorf("afterwards: handled %v, %+v, want both", seen.list(), d.Stats())
	}
}

func TestUnderProcessBatchEveryEventSucceedsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		for range 2 {
			for _, id := range []string{"1", "2", "3", "4", "5"} {
				appendAll(t, b, "orders", event(t, id, "k"+id))
			}
		}
		d := &middleware.Dedupe{Logger: silent}
		var failed atomic.Bool
		var seen log[string]
		h := d.Batch(seenIDs(&seen, func(id string) bool { return id == "3" && failed.CompareAndSwap(false, true) }))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- durable.ProcessBatch(ctx, b, durable.Group{Name: "g", Topics: durable.Topics("orders")}, h,
				durable.BatchOptions{Size: 4, ProcessOptions: durable.ProcessOptions{Logger: silent}})
		}()
		time.Sleep(time.Minute)
		stop()
		if err := <-done; err != nil {
			t.Errorf("ProcessBatch: got %v, want nil", err)
		}
		if s := d.Stats(); s.Handled != 5 || s.Duplicates != 5 || len(seen.list()) != 6 {
			t.Errorf("handled %v, %+v, want 5 events once, 3 twice", seen.list(), s)
		}
	})
}

func TestAnEventWithoutADedupeKeyWaitsBehindABusyOneOfItsKey(t *testing.T) {
	store := middleware.NewMemoryDedupe(0)
	d := &middleware.Dedupe{Group: "g", Store: store, Key: func(m *message.Message) string {
		if m.UUID == "2" {
			return ""
		}
		return m.UUID
	}}
	reserve(t, store, "g\x1f1", 7, time.Hour)
	var seen log[string]
	errs := d.Batch(seenIDs(&seen, func(string) bool { return false }))(t.Context(), batchOf(t, "1:a", "2:a"))
	if len(seen.list()) != 0 || errs[0] == nil || errs[1] == nil {
		t.Errorf("handled %v with %v, want nothing", seen.list(), errs)
	}
}
