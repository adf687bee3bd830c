package redisstream

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// What is read and still held must not be dropped, because nobody would read it again.

func TestACompetitorGivesWhatItHoldsBehindWhatItLost(t *testing.T) {
	gone, kept := durable.NewClaim(t.Context(), "gone", 0, 1), durable.NewClaim(t.Context(), "kept", 0, 2)
	a := durable.Delivery{Claim: gone, Message: message.NewMessage("a", nil)}
	b := durable.Delivery{Claim: kept, Message: message.NewMessage("b", nil)}
	for name, m := range map[string]*competitor{
		"lost ones released":     {back: []durable.Delivery{a, a}, rest: []durable.Delivery{b}},
		"lost ones in the batch": {rest: []durable.Delivery{a, a, b}},
	} {
		m.byClaim = map[*durable.Claim]*share{kept: {}}
		if ds := m.next(1); len(ds) != 1 || ds[0].Message != b.Message {
			t.Errorf("%s: got %v, want what is held", name, ds)
		}
		if ds := m.next(1); len(ds) != 0 {
			t.Errorf("%s: got %v, want no more", name, ds)
		}
	}
}

func TestAnOrderedMemberGivesWhatItHoldsBehindWhatItLost(t *testing.T) {
	gone, kept := durable.NewClaim(t.Context(), "gone", 0, 1), durable.NewClaim(t.Context(), "kept", 0, 2)
	o := &tenure{part: &part{}, claim: kept}
	o.own = o
	c := &ordered{
		byClaim: map[*durable.Claim]*tenure{kept: o},
		back:    []durable.Delivery{{Claim: gone, Position: "1-0"}},
		rest:    batch{o, []durable.Delivery{{Claim: kept, Position: "2-0"}}},
	}
	if ds := c.give(1); len(ds) != 1 || ds[0].Claim != kept {
		t.Errorf("got %v, want what is held", ds)
	}
}

// meanwhile is a context of a call during whose first wait something happens.
type meanwhile struct {
	context.Context
	happen func()
}

func (c meanwhile) Done() <-chan struct{} {
	c.happen()
	return c.Context.Done()
}

func TestACompetitorGivesWhatIsResumedWhileFetchWaits(t *testing.T) {
	paused, other := durable.NewClaim(t.Context(), "paused", 0, 1), durable.NewClaim(t.Context(), "other", 0, 2)
	s := &share{paused: true, aside: []durable.Delivery{{Claim: paused, Position: "1-0"}, {Claim: paused, Position: "2-0"}}}
	m := &competitor{
		ctx: t.Context(), batches: make(chan []durable.Delivery, 1), again: make(chan struct{}, 1),
		byClaim: map[*durable.Claim]*share{paused: s, other: {}},
	}
	ctx := meanwhile{t.Context(), sync.OnceFunc(func() {
		m.Resume(paused)
		<-m.again // so that Fetch meets the batch first
		m.batches <- []durable.Delivery{{Claim: other, Position: "3-0"}}
	})}
	ds, err := m.Fetch(ctx, 10)
	if err != nil || len(ds) != 3 || ds[0].Position != "1-0" || ds[1].Position != "2-0" || ds[2].Position != "3-0" {
		t.Errorf("got %v, %v, want what was resumed, in order, and the batch", ds, err)
	}
}

func TestACompetitorLetsGoOfWhatWasReadOfAPausedTopicThatIsTakenOut(t *testing.T) {
	m := &competitor{b: &Backend{}, byClaim: map[*durable.Claim]*share{}}
	s := &share{held: map[entryNumber]struct{}{}}
	m.hold(s)
	ds := []durable.Delivery{{Claim: s.claim, Position: "1-0"}}
	m.note(ds)
	m.Pause(s.claim)
	m.drain(s)
	m.rest = ds // what the reader had in its hands
	if got := m.next(1); len(got) != 0 || len(s.held) != 0 || s.open != 0 || len(s.aside) != 0 {
		t.Errorf("got %v, %d held, %d open and %d set aside, want it let go of", got, len(s.held), s.open, len(s.aside))
	}
}

// TestATopicIsNotLeftWhileAReadOfItIsOnItsWay lets the last read of a topic that is taken out come back before its entries
// go to others.
func TestATopicIsNotLeftWhileAReadOfItIsOnItsWay(t *testing.T) {
	b := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}})
	m := &competitor{b: b, group: durable.Group{Name: "g", Member: "m"}, epoch: time.Now(), byClaim: map[*durable.Claim]*share{}}
	s := &share{place: newPlace(testenv.Name(t, "t"), 0, 1), held: map[entryNumber]struct{}{}}
	m.hold(s)
	m.shares = []*share{s}
	r := &reader{competitor: m}
	if got := r.holdings(); len(got) != 1 {
		t.Fatalf("got %d partitions to read, want 1", len(got))
	}
	m.drain(s)
	if m.retireDone(t.Context()); len(m.shares) != 1 {
		t.Error("the topic was left during a read of it")
	}
	r.holdings()
	if m.retireDone(t.Context()); len(m.shares) != 0 {
		t.Error("the topic was not left after the last read of it")
	}
}
