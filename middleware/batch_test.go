package middleware_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func TestABatchHasTheTimeOfOneAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := middleware.Timeout{After: time.Second}.Batch(func(ctx context.Context, _ []durable.Delivery) []error {
			<-ctx.Done()
			return []error{ctx.Err(), nil, errHandler}
		})
		begin := time.Now()
		errs := h(t.Context(), batchOf(t, "1:a", "2:b", "3:c"))
		var late *middleware.TimeoutError
		if !errors.As(errs[0], &late) || errs[1] != nil || !errors.Is(errs[2], errHandler) || time.Since(begin) != time.Second {
			t.Errorf("got %v after %s, want a TimeoutError alone of what the deadline ended", errs, time.Since(begin))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if errs := h(ctx, batchOf(t, "1:a", "2:b", "3:c")); errors.As(errs[0], &late) || middleware.ClassOf(errs[0]) != middleware.ClassBusy {
			t.Errorf("the end of the batch: got %v, want the cancellation", errs[0])
		}
	})
}

func TestABatchTakesOneOfTheConcurrentPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &middleware.Concurrency{Max: 1}
		release := make(chan struct{})
		h := c.Batch(func(context.Context, []durable.Delivery) []error { <-release; return nil })
		go func() { h(t.Context(), batchOf(t, "1:a", "2:b")) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for _, err := range h(ctx, batchOf(t, "3:a", "4:b")) {
			if middleware.ClassOf(err) != middleware.ClassBusy || err == nil {
				t.Errorf("got %v, want a busy error while another batch has the place", err)
			}
		}
		close(release)
		synctest.Wait()
		if errs := h(t.Context(), batchOf(t, "3:a")); errs != nil {
			t.Errorf("got %v, want nil", errs)
		}
	})
}

func TestOfABatchThatPanicsTheCulpritFailsAlone(t *testing.T) {
	var calls [][]string
	h := middleware.Recover{Logger: silent}.Batch(func(_ context.Context, ds []durable.Delivery) []error {
		var seen []string
		defer func() { calls = append(calls, seen) }()
		for _, d := range ds {
			id := d.Message.Metadata[durable.MetaID]
			if seen = append(seen, id); id == "2" {
				panic("no")
			}
		}
		return nil
	})
	errs := h(t.Context(), batchOf(t, "1:a", "2:b", "3:b", "4:c"))
	var p *durable.PanicError
	if errs[0] != nil || !errors.As(errs[1], &p) || durable.VerbOf(errs[2]) != durable.VerbRelease || errs[3] != nil {
		t.Errorf("got %v, want a panic of 2 and 3, which is behind it, given back", errs)
	}
	if got := slices.Concat(calls...); !slices.Equal(got, []string{"1", "2", "1", "2", "4"}) {
		t.Errorf("handled %v, want the batch and then each event alone", got)
	}
}

func TestAStackOfABatchPoisonsAndRetriesEventByEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		for _, id := range []string{"1", "2", "3", "4", "5"} {
			appendAll(t, b, "orders", event(t, id, "k"+id))
		}
		dedupe := &middleware.Dedupe{}
		var handled log[string]
		failures := 0
		h, err := middleware.Stack{
			Poison: poisoning(b), Retry: &middleware.Retry{MaxAttempts: 3}, Dedupe: dedupe, RateLimit: &middleware.RateLimit{PerSecond: 1000},
			Breaker: &middleware.Breaker{Failures: 100, Logger: silent}, Timeout: &middleware.Timeout{}, Concurrency: &middleware.Concurrency{},
		}.Batch(func(_ context.Context, ds []durable.Delivery) []error {
			errs := make([]error, len(ds))
			for i, d := range ds {
				switch id := d.Message.Metadata[durable.MetaID]; {
				case id == "2":
					errs[i] = middleware.Permanent(errHandler)
				case id == "3" && failures < 2:
					failures++
					errs[i] = errHandler
				default:
					handled.add(id)
				}
			}
			return errs
		})
		if err != nil {
			t.Fatal(err)
		}
		processForAMinute(t, b, h)
		if got := handled.list(); !slices.Equal(got, []string{"1", "4", "5", "3"}) {
			t.Errorf("handled %v, want 3 last and 2 never", got)
		}
		if got := ids(replayed(t, b, "orders.poison")); !slices.Equal(got, []string{"2"}) {
			t.Errorf("poisoned %v, want 2", got)
		}
		if s := dedupe.Stats(); s.Handled != 4 || s.Released != 3 {
			t.Errorf("dedupe %+v, want 4 handled and 3 released", s)
		}
	})
}

// processForAMinute has h handle what is in orders, on virtual time.
func processForAMinute(t *testing.T, b durable.Backend, h durable.BatchHandler) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- durable.ProcessBatch(ctx, b, durable.Group{Name: "g", Topics: durable.Topics("orders")}, h,
			durable.BatchOptions{ProcessOptions: durable.ProcessOptions{Logger: silent}})
	}()
	time.Sleep(time.Minute)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestWhatFailsBehindAFailedEventOfItsKeyIsNeitherPoisonedNorCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		appendAll(t, b, "orders", event(t, "1", "k"), event(t, "2", "k"), event(t, "3", "k"))
		var handled log[string]
		failures := 0
		h, err := middleware.Stack{Poison: poisoning(b), Retry: &middleware.Retry{MaxAttempts: 3}}.Batch(
			func(_ context.Context, ds []durable.Delivery) []error {
				errs := make([]error, len(ds))
				missing := false // what the next one builds on
				for i, d := range ds {
					switch id := d.Message.Metadata[durable.MetaID]; {
					case missing && id == "2":
						errs[i] = middleware.Permanent(errHandler)
					case missing && id == "3":
						errs[i] = errHandler
					case id == "1" && failures < 2, id == "3" && failures < 4:
						failures++
						errs[i], missing = errHandler, true
					default:
						handled.add(id)
					}
				}
				return errs
			})
		if err != nil {
			t.Fatal(err)
		}
		processForAMinute(t, b, h)
		if got := ids(replayed(t, b, "orders.poison")); len(got) != 0 || !slices.Equal(handled.list(), []string{"1", "2", "3"}) {
			t.Errorf("poisoned %v, handled %v, want none and all three", got, handled.list())
		}
	})
}

func TestPoliciesOfABatchWhoseSettingsMakeNoSenseHandleNothing(t *testing.T) {
	never := func(context.Context, []durable.Delivery) []error { t.Error("handled"); return nil }
	for name, h := range map[string]durable.BatchHandler{
		"timeout":     middleware.Timeout{After: -1}.Batch(never),
		"concurrency": (&middleware.Concurrency{Max: -1}).Batch(never),
		"filter":      (&middleware.Filter{}).Batch(never),
		"dedupe":      (&middleware.Dedupe{Lease: -1}).Batch(never),
	} {
		for _, err := range h(t.Context(), batchOf(t, "1:a", "2:b")) {
			if !errors.Is(err, durable.ErrInvalid) || durable.VerbOf(err) != durable.VerbStop {
				t.Errorf("%s: got %v, want one that ends ProcessBatch", name, err)
			}
		}
	}
	if _, err := (middleware.Stack{Timeout: &middleware.Timeout{After: -1}}).Batch(never); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("Stack.Batch: got %v, want ErrInvalid", err)
	}
}
