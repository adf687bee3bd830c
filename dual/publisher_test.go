package dual_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

func event(source string) durable.Event {
	return durable.Event{Type: "made", SourceType: "thing", SourceID: source, Data: []byte("{}")}
}

func newPublisher(t *testing.T, b durable.Backend, n realtime.Backend, opts dual.Options) *dual.Publisher {
	t.Helper()
	p, err := dual.New(b, n, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	return p
}

func closePublisher(t *testing.T, p *dual.Publisher) {
	t.Helper()
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsAnnouncedThatWasNotStored(t *testing.T) {
	stream, bus := memoryStream(t), &recorder{}
	b := &flaky{Backend: stream, rng: rand.New(rand.NewPCG(1, 2))}
	p := newPublisher(t, b, bus, dual.Options{})
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	var callers sync.WaitGroup
	for c := range 4 {
		callers.Go(func() {
			for i := range 250 {
				events := make([]durable.Event, 1+i%7)
				for k := range events {
					events[k] = event(strconv.Itoa(c*10 + k))
				}
				receipts, err := p.Publish(t.Context(), events...)
				if len(receipts) != len(events) {
					t.Errorf("got %d receipts for %d events", len(receipts), len(events))
				}
				mu.Lock()
				allStored := true
				for _, r := range receipts {
					isStored := r.Status == durable.Stored
					allStored = allStored && isStored
					acknowledged[r.ID] = isStored
					if r.Announced != isStored || (r.Err == nil) != isStored {
						t.Errorf("got %+v, want it announced exactly where it was stored", r)
					}
				}
				mu.Unlock()
				if (err == nil) != allStored {
					t.Errorf("got error %v, and all stored: %t", err, allStored)
				}
			}
		})
	}
	callers.Wait()
	closePublisher(t, p)
	inStream := stored(t, stream, "events")
	announced := map[string]bool{}
	for _, n := range bus.notifications() {
		announced[n.ID] = true
		if !acknowledged[n.ID] || !inStream[n.ID] {
			t.Errorf("a ghost: %s was announced; acknowledged %t, in the stream %t", n.ID, acknowledged[n.ID], inStream[n.ID])
		}
	}
	for id, is := range acknowledged {
		if is && (!inStream[id] || !announced[id]) {
			t.Errorf("%s was acknowledged; in the stream %t, announced %t", id, inStream[id], announced[id])
		}
	}
}

// refuser refuses the messages of one source.
type refuser struct {
	durable.Backend
	source string
}

func (r *refuser) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	out := durable.FailAll(topic, len(msgs), durable.Stored, nil)
	positions := make([]durable.Position, len(msgs))
	failed := false
	for i, msg := range msgs {
		if durable.Key(msg) == r.source {
			out.Outcomes[i], failed = durable.Outcome{Status: durable.Rejected, Err: errFault}, true
			continue
		}
		p, err := r.Backend.Append(ctx, topic, msg)
		if err != nil {
			return nil, err
		}
		positions[i] = p[0]
	}
	if failed {
		return positions, out
	}
	return positions, nil
}

func TestAPartialBatchTellsEachOutcome(t *testing.T) {
	bus := &recorder{}
	for name, topicOf := range map[string]func(durable.Event) string{
		"one topic":  nil,
		"two topics": func(e durable.Event) string { return "of-" + e.SourceID[:1] },
	} {
		p := newPublisher(t, &refuser{memoryStream(t), "a2"}, bus, dual.Options{TopicOf: topicOf})
		receipts, err := p.Publish(t.Context(), event("a1"), event("b1"), event("a2"), event("b2"))
		var batch *durable.BatchError
		if !errors.As(err, &batch) || !errors.Is(err, errFault) || len(batch.Outcomes) != 4 {
			t.Fatalf("%s: got %v, want a BatchError with 4 outcomes", name, err)
		}
		for i, r := range receipts {
			want := durable.Stored
			if i == 2 {
				want = durable.Rejected
			}
			if r.Status != want || batch.Outcomes[i].Status != want || (r.Position != "") != (want == durable.Stored) {
				t.Errorf("%s: event %d: got %+v and %+v, want %s", name, i, r, batch.Outcomes[i], want)
			}
		}
	}
}

func TestABadEventIsRefusedBeforeAnythingIsStored(t *testing.T) {
	stream := memoryStream(t)
	p := newPublisher(t, stream, nil, dual.Options{})
	receipts, err := p.Publish(t.Context(), event("good"), durable.Event{Type: "made"})
	if !errors.Is(err, durable.ErrInvalid) || receipts != nil {
		t.Errorf("got %v and %v, want ErrInvalid and no receipts", receipts, err)
	}
	if _, err := p.Publish(t.Context()); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("no events: got %v, want ErrInvalid", err)
	}
	if _, err := p.Publish(t.Context(), event("good")); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, stream, "events"); len(got) != 1 {
		t.Errorf("got %d events stored, want 1", len(got))
	}
}

// traced notes its name when it is called.
type traced struct {
	durable.Backend
	name string
	note func(string)
}

func (w traced) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	w.note(w.name)
	return w.Backend.Append(ctx, topic, msgs...)
}

func TestTheFirstWrapperIsTheOutermost(t *testing.T) {
	var calls []string
	wrapper := func(name string) func(durable.Backend) durable.Backend {
		return func(b durable.Backend) durable.Backend {
			return traced{b, name, func(s string) { calls = append(calls, s) }}
		}
	}
	p := newPublisher(t, memoryStream(t), nil, dual.Options{
		Append: []func(durable.Backend) durable.Backend{wrapper("first"), wrapper("second")},
	})
	if _, err := p.Publish(t.Context(), event("a")); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(calls, []string{"first", "second"}) {
		t.Errorf("got %v", calls)
	}
}

func TestABlockedBusNeverDelaysAPublish(t *testing.T) {
	bus := &recorder{block: make(chan struct{})} // never closed: an Append that waited for it would never return
	p := newPublisher(t, memoryStream(t), bus, dual.Options{
		Dispatcher: realtime.DispatcherOptions{Queue: 16, Timeout: time.Hour},
	})
	for range 2000 {
		if _, err := p.Publish(t.Context(), event("a")); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Close(ctx); err == nil {
		t.Error("Close drained what the bus never took")
	}
	if got := bus.notifications(); len(got) > 0 {
		t.Errorf("got %d notifications", len(got))
	}
}

func TestCloseIsIdempotentAndFinal(t *testing.T) {
	bus := &recorder{}
	p := newPublisher(t, memoryStream(t), bus, dual.Options{})
	if _, err := p.Publish(t.Context(), event("a")); err != nil {
		t.Fatal(err)
	}
	if err := p.Announce(t.Context(), realtime.Notification{Channel: "typing", ID: "1", Type: "typing"}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		closePublisher(t, p)
	}
	if got := bus.notifications(); len(got) != 2 {
		t.Errorf("got %d notifications after Close, want 2", len(got))
	}
	if _, err := p.Publish(t.Context(), event("a")); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("Publish: got %v, want ErrClosed", err)
	}
	if err := p.Announce(t.Context()); !errors.Is(err, realtime.ErrClosed) {
		t.Errorf("Announce: got %v, want ErrClosed", err)
	}
}

func TestANotificationCarriesIdsAndNoData(t *testing.T) {
	bus := &recorder{}
	p := newPublisher(t, memoryStream(t), bus, dual.Options{})
	e := event("owner/repo")
	e.Data = []byte(`{"secret":"hunter2"}`)
	receipts, err := p.Publish(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	closePublisher(t, p)
	got, r := bus.notifications(), receipts[0]
	if len(got) != 1 || got[0].ID != r.ID || got[0].Position != string(r.Position) || got[0].Topic != r.Topic ||
		got[0].Channel != realtime.Channel("thing", "owner/repo") || !slices.Equal(r.Channels, []string{got[0].Channel}) {
		t.Errorf("got %+v for %+v", got, r)
	}
	if text := fmt.Sprintf("%+v", got); strings.Contains(text, "hunter2") {
		t.Errorf("the data is in %s", text)
	}
}

func TestTheEventsOfACallAreAnnouncedOnTheChannelsOfTheirSources(t *testing.T) {
	bus := &recorder{}
	p := newPublisher(t, memoryStream(t), bus, dual.Options{})
	sources := []string{"a", "b", "some longer:id", "a", "é"}
	events := make([]durable.Event, len(sources))
	for i, id := range sources {
		events[i] = event(id)
	}
	receipts, err := p.Publish(t.Context(), events...)
	if err != nil {
		t.Fatal(err)
	}
	closePublisher(t, p)
	got := bus.notifications()
	for i, e := range events {
		want := realtime.Channel(e.SourceType, e.SourceID)
		if !slices.Equal(receipts[i].Channels, []string{want}) || got[i].Channel != want {
			t.Errorf("event %d: got %q and %q, want %q", i, receipts[i].Channels, got[i].Channel, want)
		}
	}
}
