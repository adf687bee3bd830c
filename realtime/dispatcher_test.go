package realtime

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"
)

// fakeBackend records what it is given. Its answer is that of respond, where there is one.
type fakeBackend struct {
	Backend
	mu      sync.Mutex
	got     []Notification
	batches []int
	respond func(ctx context.Context, ns []Notification) error
}

func (b *fakeBackend) Notify(ctx context.Context, ns ...Notification) error {
	b.mu.Lock()
	b.batches = append(b.batches, len(ns))
	respond := b.respond
	b.mu.Unlock()
	if respond != nil {
		if err := respond(ctx, ns); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, ns...)
	return nil
}

func (b *fakeBackend) answer(respond func(ctx context.Context, ns []Notification) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.respond = respond
}

func (b *fakeBackend) ids() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := make([]string, 0, len(b.got))
	for i := range b.got {
		ids = append(ids, b.got[i].ID)
	}
	return ids
}

func (b *fakeBackend) Capabilities() Capabilities { return Capabilities{Backend: "fake"} }

// hold makes b wait for release or its context with each batch, and returns what tells that it does.
func (b *fakeBackend) hold() (entered chan struct{}, release func()) {
	entered, gate := make(chan struct{}, 1<<10), make(chan struct{})
	b.answer(func(ctx context.Context, _ []Notification) error {
		entered <- struct{}{}
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return entered, func() { close(gate) }
}

func note(channel string, id int) Notification {
	return Notification{Channel: channel, ID: strconv.Itoa(id)}
}

func newTestDispatcher(t *testing.T, b Backend, o DispatcherOptions) *Dispatcher {
	t.Helper()
	d, err := NewDispatcher(b, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := d.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		checkSum(t, d)
	})
	return d
}

func checkSum(t *testing.T, d *Dispatcher) DispatcherStats {
	t.Helper()
	s := d.Stats()
	if s.Dispatched != s.Sent+s.Dropped.Total()+s.Queued+s.InFlight {
		t.Errorf("the counters do not add up: %+v", s)
	}
	return s
}

func closeDispatcher(t *testing.T, d *Dispatcher) DispatcherStats {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := d.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return checkSum(t, d)
}

func TestOptionsOfADispatcherAreChecked(t *testing.T) {
	for _, o := range []DispatcherOptions{
		{Queue: -1},
		{Batch: -1},
		{FailuresToOpen: -1},
		{Timeout: -1},
		{BackoffMin: -1},
		{BackoffMax: -1},
		{BackoffMin: 2, BackoffMax: 1},
	} {
		if _, err := NewDispatcher(&fakeBackend{}, o); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: got %v, want ErrInvalid", o, err)
		}
	}
	if _, err := NewDispatcher(nil, DispatcherOptions{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("no backend: got %v, want ErrInvalid", err)
	}
	d := newTestDispatcher(t, &fakeBackend{}, DispatcherOptions{BackoffMin: time.Minute})
	if d.o.Queue != 8192 || d.o.Batch != 256 || d.o.Timeout != time.Second || d.o.BackoffMax != time.Minute {
		t.Errorf("defaults: got %+v", d.o)
	}
}

func TestABlockedBackendCostsNoGoroutines(t *testing.T) {
	b := &fakeBackend{}
	entered, release := b.hold()
	d := newTestDispatcher(t, b, DispatcherOptions{Queue: 100_000, Timeout: time.Minute})
	d.Dispatch(note("c", -1))
	<-entered
	before := runtime.NumGoroutine()
	for i := range 100_000 {
		if d.Dispatch(note("c", i)) != 1 {
			t.Fatalf("notification %d was not accepted", i)
		}
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("goroutines: %d, want %d", after, before)
	}
	if s := checkSum(t, d); s.Queued != 100_000 || s.InFlight != 1 || s.Dropped.Total() != 0 {
		t.Errorf("got %+v", s)
	}
	release()
	if s := closeDispatcher(t, d); s.Sent != 100_001 || s.Batches > 1+100_000/256+1 {
		t.Errorf("got %+v", s)
	}
}

func TestOrderIsKeptWithinAChannel(t *testing.T) {
	b := &fakeBackend{}
	d := newTestDispatcher(t, b, DispatcherOptions{})
	const channels, each = 8, 500
	var wg sync.WaitGroup
	for c := range channels {
		wg.Go(func() {
			for i := 0; i < each; i += 2 {
				d.Dispatch(note(fmt.Sprint("c", c), i), note(fmt.Sprint("c", c), i+1))
			}
		})
	}
	wg.Wait()
	closeDispatcher(t, d)
	next := map[string]int{}
	for _, n := range b.got {
		if n.ID != strconv.Itoa(next[n.Channel]) {
			t.Fatalf("%s: got %s, want %d", n.Channel, n.ID, next[n.Channel])
		}
		next[n.Channel]++
	}
	if len(b.got) != channels*each {
		t.Errorf("got %d, want %d", len(b.got), channels*each)
	}
}

func TestOverflowDropsTheOldest(t *testing.T) {
	b := &fakeBackend{}
	entered, release := b.hold()
	d := newTestDispatcher(t, b, DispatcherOptions{Queue: 3, Timeout: time.Minute})
	d.Dispatch(note("c", 0))
	<-entered
	for i := 1; i <= 20; i++ {
		d.Dispatch(note("c", i))
	}
	if s := checkSum(t, d); s.Dropped.Overflow != 17 || s.Queued != 3 {
		t.Errorf("got %+v", s)
	}
	release()
	closeDispatcher(t, d)
	if got, want := fmt.Sprint(b.ids()), "[0 18 19 20]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCoalescingKeepsTheNewestOfAChannel(t *testing.T) {
	b := &fakeBackend{}
	entered, release := b.hold()
	d := newTestDispatcher(t, b, DispatcherOptions{Queue: 3, Timeout: time.Minute, Coalesce: true})
	d.Dispatch(note("a", 0))
	<-entered
	d.Dispatch(note("a", 1), note("b", 2), note("a", 3), note("b", 4), note("c", 5))
	d.Dispatch(note("d", 6), note("b", 7), note("a", 8)) // d takes the place of a, a that of b
	if s := checkSum(t, d); s.Dropped.Coalesced != 3 || s.Dropped.Overflow != 2 || s.Queued != 3 {
		t.Errorf("got %+v", s)
	}
	release()
	closeDispatcher(t, d)
	if got, want := fmt.Sprint(b.ids()), "[0 5 6 8]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestInvalidNotificationsAreCounted(t *testing.T) {
	b := &fakeBackend{}
	d := newTestDispatcher(t, b, DispatcherOptions{})
	if got := d.Dispatch(Notification{}, note("c", 1), Notification{Channel: "c"}, note("", 2), note("c", 3)); got != 2 {
		t.Errorf("accepted %d, want 2", got)
	}
	s := closeDispatcher(t, d)
	if s.Dispatched != 5 || s.Dropped.Invalid != 3 || s.Sent != 2 {
		t.Errorf("got %+v", s)
	}
	if got := fmt.Sprint(b.ids()); got != "[1 3]" {
		t.Errorf("got %s", got)
	}
}

func TestWhatTheBackendRefusesCostsNoOther(t *testing.T) {
	b := &fakeBackend{}
	gate := make(chan struct{})
	b.answer(func(_ context.Context, ns []Notification) error {
		<-gate
		for _, n := range ns {
			if n.ID == "2" || n.ID == "4" || n.ID == "5" || n.ID == "6" {
				return fmt.Errorf("refused: %w", ErrInvalid)
			}
		}
		return nil
	})
	d := newTestDispatcher(t, b, DispatcherOptions{})
	for i := range 8 {
		d.Dispatch(note("c", i))
	}
	close(gate)
	if s := closeDispatcher(t, d); s.Dropped.Invalid != 4 || s.Sent != 4 || s.Opened != 0 {
		t.Errorf("got %+v", s)
	}
	if got := fmt.Sprint(b.ids()); got != "[0 1 3 7]" {
		t.Errorf("got %s", got)
	}
}

func BenchmarkDispatch(b *testing.B) {
	for _, coalesce := range []bool{false, true} {
		b.Run(fmt.Sprintf("coalesce=%v", coalesce), func(b *testing.B) {
			d, err := NewDispatcher(&discardBackend{}, DispatcherOptions{Coalesce: coalesce})
			if err != nil {
				b.Fatal(err)
			}
			n := Notification{Channel: Channel("order", "7"), ID: "0198c5f2", Type: "created", Time: time.Now()}
			b.ReportAllocs()
			for b.Loop() {
				d.Dispatch(n)
			}
			if err := d.Close(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

type discardBackend struct{ Backend }

func (*discardBackend) Notify(context.Context, ...Notification) error { return nil }
