package redisstream

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
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
