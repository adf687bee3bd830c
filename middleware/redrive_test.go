package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// poisoned has n events of topic orders in orders.poison, two keys in turn, failed in group billing.
func poisoned(t *testing.T, b durable.Backend, n int) {
	t.Helper()
	for i := range n {
		appendAll(t, b, "orders", event(t, fmt.Sprint(i), fmt.Sprint("k", i%2)))
	}
	run := process(b, "billing", poisoning(b).Middleware(failing(middleware.Permanent(errHandler))), "orders")
	time.Sleep(time.Minute)
	run.end(t)
	if got := len(replayed(t, b, "orders.poison")); got != n {
		t.Fatalf("%d poisoned, want %d", got, n)
	}
}

func TestRedriveRestoresEventsForTheGroupThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		poisoned(t, b, 6)
		r := middleware.Redrive{Backend: b, Topic: "orders.poison", Batch: 4}
		report, err := r.Run(t.Context())
		if err != nil || report != (middleware.RedriveReport{Read: 6, Matched: 6, Moved: 6}) {
			t.Fatalf("got %+v, %v", report, err)
		}
		all := replayed(t, b, "orders")
		last := map[string]string{}
		for _, rec := range all[6:] {
			id := rec.Message.Metadata[durable.MetaID]
			if id <= last[rec.Key] {
				t.Errorf("%s came after %s of its key", id, last[rec.Key])
			}
			last[rec.Key] = id
			i, _ := strconv.Atoi(id)
			want := all[i].Message.Copy()
			want.Metadata[middleware.MetaRedriveGroup], want.Metadata[middleware.MetaRedriveLoops] = "billing", "1"
			want.Metadata[middleware.MetaRedriveTopic] = "orders"
			if !rec.Message.Equals(want) || rec.Key != all[i].Key {
				t.Errorf("event %d: got %v, want %v", i, rec.Message.Metadata, want.Metadata)
			}
		}
		report, err = r.Run(t.Context())
		if err != nil || report != (middleware.RedriveReport{Read: 6, Done: 6}) {
			t.Errorf("a second run: got %+v, %v, want nothing to do", report, err)
		}
		var billing, other log[string]
		ok := func() bool { return false }
		one := process(b, "billing", poisoning(b).Middleware(on1(&billing, ok)), "orders")
		two := process(b, "other", middleware.Redriven{}.Middleware(on1(&other, ok)), "orders")
		time.Sleep(time.Minute)
		one.end(t)
		two.end(t)
		if len(billing.list()) != 6 || len(other.list()) != 6 {
			t.Errorf("billing handled %v, other %v, want each event once in each", billing.list(), other.list())
		}
	})
}

func TestRedriveSelectsLimitsAndOnlyCountsInADryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		poisoned(t, b, 10)
		r := middleware.Redrive{Backend: b, Topic: "orders.poison", DryRun: true, Select: middleware.Selection{
			IDs: []string{"1", "3", "5"}, Classes: []string{middleware.ReasonPermanent}, Types: []string{"order.created"},
			Groups: []string{"billing"}, Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour),
			Match: func(p middleware.PoisonRecord) bool { return p.ID != "5" },
		}}
		if report, err := r.Run(t.Context()); err != nil || report.Moved != 2 || report.Matched != 2 {
			t.Errorf("dry run: got %+v, %v", report, err)
		}
		if got := len(replayed(t, b, "orders")); got != 10 {
			t.Errorf("a dry run stored %d events", got-10)
		}
		r.DryRun, r.Limit = false, 1
		if report, err := r.Run(t.Context()); err != nil || report.Moved != 1 {
			t.Errorf("limit 1: got %+v, %v", report, err)
		}
		r.Limit = 0
		r.Select.Since = time.Now().Add(time.Hour)
		if report, err := r.Run(t.Context()); err != nil || report.Matched != 0 {
			t.Errorf("later: got %+v, %v", report, err)
		}
		rest := middleware.Redrive{Backend: b, Topic: "orders.poison"}
		if report, err := rest.Drop(t.Context()); err != nil || report.Dropped != 9 {
			t.Errorf("drop: got %+v, %v", report, err)
		}
		for p, err := range rest.List(t.Context()) {
			t.Errorf("left: %v, %v", p.ID, err)
		}
	})
}

func TestRedriveLeavesWhatKeepsComingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		poisoned(t, b, 1)
		r := middleware.Redrive{Backend: b, Topic: "orders.poison", MaxLoops: 2}
		for range 2 {
			if report, err := r.Run(t.Context()); err != nil || report.Moved != 1 {
				t.Fatalf("got %+v, %v", report, err)
			}
			run := process(b, "billing", poisoning(b).Middleware(failing(middleware.Permanent(errHandler))), "orders")
			time.Sleep(time.Minute)
			run.end(t)
		}
		report, err := r.Run(t.Context())
		if err != nil || report.Looping != 1 || report.Moved != 0 {
			t.Errorf("got %+v, %v, want it left", report, err)
		}
		records := replayed(t, b, "orders.poison")
		first, last := records[0].Message.Metadata, records[len(records)-1].Message.Metadata
		if len(last) != len(first)+3 || last[middleware.MetaRedriveLoops] != "2" {
			t.Errorf("the history grew: %v", last)
		}
	})
}

func TestRedriveIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newMemory(t, memory.Config{})
		poisoned(t, inner, 10)
		b := &flaky{Backend: inner, part: "orders"}
		r := middleware.Redrive{Backend: b, Topic: "orders.poison", Batch: 3}
		ctx, cancel := context.WithCancel(t.Context())
		r.Progress = func(middleware.RedriveReport) { b.set(durable.ErrUnavailable); cancel() }
		report, err := r.Run(ctx)
		if err == nil || report.Moved != 3 {
			t.Fatalf("got %+v, %v, want an error after 3", report, err)
		}
		b.set(nil)
		r.Progress = nil
		report, err = r.Run(t.Context())
		if err != nil || report.Done != 3 || report.Moved != 7 {
			t.Errorf("resumed: got %+v, %v", report, err)
		}
		got, want := ids(replayed(t, inner, "orders")[10:]), ids(replayed(t, inner, "orders.poison"))
		if !slices.Equal(got, want) {
			t.Errorf("moved %v, want each once, as they were poisoned: %v", got, want)
		}
	})
}

func TestRedriveReadsTheOriginalOfWhatWasCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, small := newMemory(t, memory.Config{MaxMessageBytes: 1 << 20}), newMemory(t, memory.Config{MaxMessageBytes: 1200})
		msgs := []*message.Message{event(t, "1", "a"), event(t, "2", "a")}
		msgs[0].Payload = []byte(strings.Repeat("x", 5000))
		msgs[1].Metadata["app"] = strings.Repeat("y", 1500)
		appendAll(t, b, "orders", msgs...)
		run := process(b, "g", poisoning(small).Middleware(failing(middleware.Permanent(errHandler))), "orders")
		time.Sleep(time.Minute)
		run.end(t)
		for _, rec := range replayed(t, small, "orders.poison") {
			appendAll(t, b, "orders.poison", rec.Message)
		}
		report, err := middleware.Redrive{Backend: b, Topic: "orders.poison"}.Run(t.Context())
		if err != nil || report.Moved != 2 {
			t.Fatalf("got %+v, %v", report, err)
		}
		got := replayed(t, b, "orders")[2:]
		if len(got[0].Message.Payload) != 5000 || len(got[1].Message.Metadata["app"]) != 1500 || got[0].Message.Metadata[middleware.MetaPoisonCut] != "" {
			t.Errorf("got %d bytes, %d bytes", len(got[0].Message.Payload), len(got[1].Message.Metadata["app"]))
		}
		if err := b.DeleteTopic(t.Context(), "orders"); err != nil {
			t.Fatal(err)
		}
		lost := middleware.Redrive{Backend: b, Topic: "other.poison", To: func(middleware.PoisonRecord) string { return "elsewhere" }}
		for _, rec := range replayed(t, small, "orders.poison") {
			appendAll(t, b, "other.poison", rec.Message)
		}
		lost.DryRun = true
		if dry, err := lost.Run(t.Context()); err != nil || dry.Missing != 1 || dry.Moved != 1 {
			t.Errorf("without the originals, dry run: got %+v, %v, want what the run does", dry, err)
		}
		lost.DryRun = false
		report, err = lost.Run(t.Context())
		if err != nil || report.Missing != 1 || report.Moved != 1 {
			t.Errorf("without the originals: got %+v, %v", report, err)
		}
	})
}

func TestRedriveKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newMemory(t, memory.Config{})
		poisoned(t, b, 30)
		begin := time.Now()
		if _, err := (middleware.Redrive{Backend: b, Topic: "orders.poison", PerSecond: 10}).Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 2*time.Second || took > 3*time.Second {
			t.Errorf("30 events took %s, want 2 s", took)
		}
	})
}

func TestSettingsOfRedriveThatMakeNoSenseAreNamed(t *testing.T) {
	b := newMemory(t, memory.Config{})
	for want, r := range map[string]middleware.Redrive{
		"Redrive.Backend": {Topic: "x"}, "Redrive.Topic": {Backend: b}, "Redrive.Limit": {Backend: b, Topic: "x", Limit: -1},
		"Redrive.PerSecond": {Backend: b, Topic: "x", PerSecond: -1}, "Redrive.Batch": {Backend: b, Topic: "x", Batch: -1},
		"Redrive.MaxLoops": {Backend: b, Topic: "x", MaxLoops: -1},
	} {
		_, err := r.Run(t.Context())
		var bad *durable.InvalidError
		if !errors.As(err, &bad) || bad.Field != want {
			t.Errorf("got %v, want an InvalidError for %s", err, want)
		}
	}
}
