package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// readings counts how often the notes of what was redriven are read.
type readings struct {
	durable.Backend
	notes atomic.Int64
}

func (r *readings) Replay(ctx context.Context, topic string, rng durable.Range) iter.Seq2[durable.Record, error] {
	if strings.HasSuffix(topic, ".done") {
		r.notes.Add(1)
	}
	return r.Backend.Replay(ctx, topic, rng)
}

// inPoison has n events of topic orders in orders.poison.
func inPoison(t *testing.T, b durable.Backend, n, size int) {
	t.Helper()
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msgs[i] = event(t, strconv.Itoa(i), "a")
		msgs[i].Payload = make([]byte, size)
		msgs[i].Metadata[middleware.MetaPoisonTopic], msgs[i].Metadata[middleware.MetaPoisonClass] = "orders", middleware.ReasonPermanent
	}
	for part := range slices.Chunk(msgs, 100) {
		appendAll(t, b, "orders.poison", part...)
	}
}

func TestALongPoisonTopicIsLookedAtInWindows(t *testing.T) {
	const n = 5000
	b := &readings{Backend: newMemory(t, memory.Config{})}
	inPoison(t, b, n, 10)
	odd := func(p middleware.PoisonRecord) bool {
		i, err := strconv.Atoi(p.ID)
		return err == nil && i%2 == 1
	}
	r := middleware.Redrive{Backend: b, Topic: "orders.poison", Select: middleware.Selection{Match: odd}}
	if report, err := r.Drop(t.Context()); err != nil || report.Dropped != n/2 || report.Read != n {
		t.Fatalf("drop: got %+v, %v", report, err)
	}
	b.notes.Store(0)
	r.Select = middleware.Selection{}
	report, err := r.Run(t.Context())
	if want := (middleware.RedriveReport{Read: n, Done: n / 2, Matched: n / 2, Moved: n / 2}); err != nil || report != want {
		t.Errorf("run: got %+v, %v, want %+v", report, err, want)
	}
	if got := b.notes.Load(); got != 3 { // 1024, 2048 and the rest
		t.Errorf("the notes were read %d times, want once for each of 3 windows", got)
	}
	got := ids(replayed(t, b, "orders"))
	for i, id := range got {
		if id != strconv.Itoa(2*i) {
			t.Fatalf("event %d is %s, want %d", i, id, 2*i)
		}
	}
	if len(got) != n/2 {
		t.Errorf("%d events were moved, want %d", len(got), n/2)
	}
}

func TestAWindowIsBoundedInBytes(t *testing.T) {
	b := &readings{Backend: newMemory(t, memory.Config{MaxMessageBytes: 16 << 20})}
	inPoison(t, b, 12, 8<<20)
	n := 0
	for _, err := range (middleware.Redrive{Backend: b, Topic: "orders.poison"}).List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if got := b.notes.Load(); n != 12 || got != 2 {
		t.Errorf("%d events in %d windows, want 12 in 2: 96 MiB, of which one holds 64", n, got)
	}
}

func TestWhatIsInNoPoisonTopicIsNotMoved(t *testing.T) {
	b := newMemory(t, memory.Config{})
	appendAll(t, b, "orders", event(t, "1", "a"))
	r := middleware.Redrive{Backend: b, Topic: "orders"}
	for p, err := range r.List(t.Context()) {
		if err != nil || p.Poisoned() {
			t.Errorf("got %+v, %v, want an event that was never poisoned", p, err)
		}
	}
	for _, dry := range []bool{true, false} {
		r.DryRun = dry
		report, err := r.Run(t.Context())
		if !errors.Is(err, middleware.ErrNotPoisoned) || report.Moved != 0 || len(replayed(t, b, "orders")) != 1 {
			t.Errorf("dry %t: got %+v, %v, want ErrNotPoisoned and nothing moved", dry, report, err)
		}
	}
	r.To = func(middleware.PoisonRecord) string { return "elsewhere" }
	if report, err := r.Run(t.Context()); err != nil || report.Moved != 1 {
		t.Errorf("to a topic that is named: got %+v, %v", report, err)
	}
}

func TestADropThatBreaksOffHasDroppedWhatItSays(t *testing.T) {
	inner := newMemory(t, memory.Config{})
	inPoison(t, inner, 10, 1)
	b := &flaky{Backend: inner, part: ".done"}
	r := middleware.Redrive{Backend: b, Topic: "orders.poison", Batch: 4}
	ctx, cancel := context.WithCancel(t.Context())
	r.Progress = func(middleware.RedriveReport) { b.set(durable.ErrInvalid); cancel() }
	report, err := r.Drop(ctx)
	if err == nil || report.Dropped != 4 {
		t.Fatalf("got %+v, %v, want an error after 4", report, err)
	}
	b.set(nil)
	left := 0
	for _, err := range (middleware.Redrive{Backend: b, Topic: "orders.poison"}).List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		left++
	}
	if left != 6 {
		t.Errorf("%d are left, want 6", left)
	}
	if report, err := (middleware.Redrive{Backend: b, Topic: "orders.poison"}).Drop(t.Context()); err != nil || report.Dropped != 6 || report.Done != 4 {
		t.Errorf("resumed: got %s, %v", fmt.Sprintf("%+v", report), err)
	}
}
