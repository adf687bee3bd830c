package durable

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func startBatch(b Backend, h BatchHandler, o BatchOptions) *process {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), testKey{}, "value"))
	p := &process{stop: cancel, done: make(chan error, 1)}
	o.Logger = slog.New(slog.DiscardHandler)
	go func() { p.done <- ProcessBatch(ctx, b, Group{Name: "g", Topics: Topics("t")}, h, o) }()
	return p
}

// batches notes the batches that a handler gets, as "0 1 2" with the attempt behind positions above the first.
type batches struct {
	mu  sync.Mutex
	all []string
}

func (b *batches) note(ds []Delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	words := make([]string, len(ds))
	for i, d := range ds {
		words[i] = string(d.Position)
		if d.Attempt > 1 {
			words[i] += "*" + strconv.Itoa(d.Attempt)
		}
	}
	b.all = append(b.all, strings.Join(words, " "))
}

func (b *batches) list() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.all...)
}

func TestABatchIsBoundedBySizeAndTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		c := NewClaim(context.Background(), "t", 0, 1)
		var got batches
		p := startBatch(f, func(ctx context.Context, ds []Delivery) []error {
			got.note(ds)
			d, ok := DeliveryOf(ds[0].Message.Context())
			if ctx.Value(testKey{}) != "value" || !ok || d.Position != ds[0].Position || d.Group != "g" {
				t.Error("the contexts have no delivery or lack the values of ProcessBatch's")
			}
			return nil
		}, BatchOptions{Size: 3, Wait: time.Second})
		f.feed <- deliveries(c, 0, "a", "b", "a", "a", "")
		time.Sleep(999 * time.Millisecond)
		wantList(t, "batches before the wait is over", got.list(), []string{"0 2 3"})
		time.Sleep(2 * time.Millisecond)
		wantList(t, "batches", got.list(), []string{"0 2 3", "1 4"})
		f.feed <- deliveries(c, 5, "a")
		time.Sleep(500 * time.Millisecond)
		f.feed <- deliveries(c, 6, "a", "a")
		time.Sleep(time.Millisecond)
		wantList(t, "a batch that fills", got.list(), []string{"0 2 3", "1 4", "5 6 7"})
		time.Sleep(time.Second)
		wantNil(t, "ProcessBatch", p.end())
		acked := f.ackedPositions()
		if len(acked) == 0 || acked[len(acked)-1] != "7" {
			t.Errorf("acked: got %v, want through 7", acked)
		}
	})
}

func TestEachDeliveryOfABatchHasItsResult(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		c := NewClaim(context.Background(), "t", 0, 1)
		f.feed <- deliveries(c, 0, "a", "b", "a", "a", "park", "park")
		var got batches
		p := startBatch(f, func(_ context.Context, ds []Delivery) []error {
			got.note(ds)
			errs := make([]error, len(ds))
			for i, d := range ds {
				switch {
				case d.Key == "park":
					errs[i] = Park(errHandler)
				case d.Position == "2" && d.Attempt == 1:
					errs[i] = RetryAfter(errHandler, time.Minute)
				}
			}
			return errs
		}, BatchOptions{Size: 10, Wait: time.Millisecond})
		time.Sleep(time.Second)
		wantList(t, "acked", sorted(f.ackedPositions()), []string{"0", "1"})
		f.feed <- deliveries(c, 6, "a", "b")
		time.Sleep(time.Hour)
		wantList(t, "batches", got.list(), []string{"0 2 3 1 4 5", "7", "2*2 3*2 6"})
		wantList(t, "acked", sorted(f.ackedPositions()), []string{"0", "1", "2", "3", "6", "7"})
		wantNil(t, "ProcessBatch", p.end())
		wantList(t, "released", f.releasedPositions(), []string{"4", "5"})
	})
}

func TestABatchThatPanicsOrAnswersWronglyIsHandledAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a", "a", "b")
		var got batches
		p := startBatch(f, func(_ context.Context, ds []Delivery) []error {
			got.note(ds)
			switch len(got.list()) {
			case 1:
				panic(errHandler)
			case 2:
				return []error{nil}
			case 3:
				runtime.Goexit()
			}
			return nil
		}, BatchOptions{Size: 10, Wait: time.Millisecond, ProcessOptions: ProcessOptions{
			Concurrency: 1, Backoff: func(int, error) time.Duration { return time.Second },
		}})
		time.Sleep(time.Minute)
		wantList(t, "batches", got.list(), []string{"0 1 2", "0*2 1*2 2*2", "0*3 1*3 2*3", "0*4 1*4 2*4"})
		wantNil(t, "ProcessBatch", p.end())
		wantList(t, "acked", f.ackedPositions(), []string{"2"})
	})
}

func TestWhatABatchHoldsIsGivenBackWhenItsClaimDrains(t *testing.T) {
	for _, mode := range []AckMode{AckEach, AckThrough} {
		bubble(t, func(t *testing.T) {
			var m Monitor
			f := newFake(mode)
			going, staying := NewClaim(context.Background(), "t", 0, 1), NewClaim(context.Background(), "t", 1, 1)
			var got batches
			p := startBatch(f, func(_ context.Context, ds []Delivery) []error {
				got.note(ds)
				if ds[0].Position != "0" {
					return nil
				}
				time.Sleep(time.Minute)
				return []error{nil, nil, errHandler, nil} // of 1
			}, BatchOptions{Size: 4, Wait: time.Second, ProcessOptions: ProcessOptions{Monitor: &m}})
			f.feed <- deliveries(going, 0, "a", "b", "b", "c", "a")
			time.Sleep(10 * time.Millisecond)
			f.feed <- deliveries(staying, 10, "d")
			time.Sleep(500 * time.Millisecond) // 10 waits for a batch
			going.Drain()
			time.Sleep(time.Hour)
			handled, want := []string{"0 4 1 2", "10"}, []string{"1", "2", "3"}
			if mode == AckThrough { // 4 cannot be acknowledged without 3, nor both without 1
				handled, want = []string{"0 4 1 2", "3 10"}, append(want, "4")
			}
			wantList(t, "batches", got.list(), handled)
			wantList(t, "released", sorted(f.releasedPositions()), sorted(want))
			wantSum(t, m.Stats().Total())
			wantNil(t, "ProcessBatch", p.end())
			if s := m.Stats().Total(); s.InFlight != 0 || s.Lost != 0 {
				t.Errorf("at the end: %+v", s)
			}
		})
	}
}

func TestABatchEndsWithAClaimThatIsLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		lost, kept := NewClaim(context.Background(), "t", 0, 1), NewClaim(context.Background(), "t", 1, 1)
		f.feed <- append(deliveries(lost, 0, "a"), deliveries(kept, 1, "b")...)
		var got batches
		p := startBatch(f, func(ctx context.Context, ds []Delivery) []error {
			got.note(ds)
			if len(ds) == 1 {
				return nil
			}
			<-ctx.Done()
			return []error{context.Cause(ctx), context.Cause(ctx)}
		}, BatchOptions{Size: 2})
		time.Sleep(time.Minute)
		lost.Lose(nil)
		time.Sleep(time.Minute)
		wantList(t, "batches", got.list(), []string{"0 1", "1*2"})
		wantNil(t, "ProcessBatch", p.end())
		wantList(t, "acked", f.ackedPositions(), []string{"1"})
	})
}

func TestBatchesKeepTheOrderOfKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		c := NewClaim(context.Background(), "t", 0, 1)
		const n = 2000
		for i := 0; i < n; i += 10 {
			keys := make([]string, 10)
			for k := range keys {
				keys[k] = "key-" + strconv.Itoa((i*7+k*k)%23)
			}
			f.feed <- deliveries(c, i, keys...)
		}
		var mu sync.Mutex
		last, running := map[string]int{}, map[string]int{}
		done := 0
		p := startBatch(f, func(_ context.Context, ds []Delivery) []error {
			errs := make([]error, len(ds))
			mine := map[string]bool{}
			mu.Lock()
			for i, d := range ds {
				at, _ := strconv.Atoi(string(d.Position))
				if !mine[d.Key] {
					running[d.Key]++
					mine[d.Key] = true
				}
				if running[d.Key] > 1 {
					t.Errorf("key %s is in two batches at once", d.Key)
				}
				if (at+d.Attempt)%7 == 0 && d.Attempt < 3 {
					errs[i] = errHandler
				}
			}
			mu.Unlock()
			time.Sleep(time.Duration(len(ds)) * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			failed := map[string]bool{}
			for i, d := range ds {
				at, _ := strconv.Atoi(string(d.Position))
				if failed[d.Key] = failed[d.Key] || errs[i] != nil; failed[d.Key] {
					continue
				}
				if at <= last[d.Key] && last[d.Key] != 0 {
					t.Errorf("key %s: %d handled after %d", d.Key, at, last[d.Key])
				}
				last[d.Key] = at
				done++
			}
			for k := range mine {
				running[k]--
			}
			return errs
		}, BatchOptions{Size: 16, Wait: 5 * time.Millisecond, ProcessOptions: ProcessOptions{
			Concurrency: 4, MaxInFlight: 200, Backoff: func(int, error) time.Duration { return time.Millisecond },
		}})
		time.Sleep(time.Hour)
		wantNil(t, "ProcessBatch", p.end())
		if done != n {
			t.Errorf("handled %d, want %d", done, n)
		}
	})
}

func TestBatchOptionsAreChecked(t *testing.T) {
	h := func(context.Context, []Delivery) []error { return nil }
	for _, o := range []BatchOptions{{Size: -1}, {Wait: -1}, {Size: 10_000}, {ProcessOptions: ProcessOptions{Concurrency: -1}}} {
		err := ProcessBatch(context.Background(), newFake(AckEach), Group{Name: "g", Topics: Topics("t")}, h, o)
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: got %v, want ErrInvalid", o, err)
		}
	}
	if err := ProcessBatch(context.Background(), newFake(AckEach), Group{}, nil, BatchOptions{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("no handler: got %v, want ErrInvalid", err)
	}
}
