package main

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

func TestWhatIsWrongWithTheOrderOfAKeyIsTold(t *testing.T) {
	of := func(key, number string) *message.Message {
		m := message.NewMessage(key+number, nil)
		m.Metadata[durable.MetaPartitionKey], m.Metadata[metaNumber] = key, number
		return m
	}
	whole := func(k *keyOrder, msgs ...*message.Message) {
		for _, m := range msgs {
			k.begin(m)
			k.end(m)
		}
	}
	for name, c := range map[string]struct {
		do   func(k *keyOrder)
		want string
	}{
		"in order":          {func(k *keyOrder) { whole(k, of("a", "0"), of("b", "0"), of("a", "1")) }, ""},
		"one overtakes":     {func(k *keyOrder) { whole(k, of("a", "1"), of("a", "0")) }, `event 1 of key "a" came where 0 was due`},
		"handled twice":     {func(k *keyOrder) { whole(k, of("a", "0"), of("a", "0")) }, `event 0 of key "a" came where 1 was due`},
		"two keys together": {func(k *keyOrder) { k.begin(of("a", "0")); k.begin(of("b", "0")) }, ""},
		"two at a time":     {func(k *keyOrder) { k.begin(of("a", "0")); k.begin(of("a", "0")) }, "another in work: true"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyOrder(100)
			c.do(k)
			err := k.err()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestKeysOfSlowEventsComeByTurns(t *testing.T) {
	k := newKeyOrder(slowEvents)
	for _, m := range slowMessages(slowEvents) {
		k.begin(m)
		k.end(m)
	}
	<-k.full
	if err := k.err(); err != nil || len(k.next) != slowKeys {
		t.Errorf("%d keys, %v; want %d in order", len(k.next), err, slowKeys)
	}
}

func TestAPathThatIsMeasuredOnceTakesOneTurn(t *testing.T) {
	turns := 0
	p := path{name: "p", once: true, noRaw: true, subjects: []subject{{subjectOurs, func(context.Context, *lab) (turn, error) {
		return func(context.Context, time.Duration) (sample, error) {
			turns++
			return sample{events: 1, elapsed: time.Second}, nil
		}, nil
	}}}}
	rows, err := p.measure(t.Context(), newLab(t.Context()), time.Second, 3)
	if err != nil || turns != 1 || len(rows) != 1 || rows[0].Turns != 1 {
		t.Errorf("%d turns, rows %+v, %v; want one turn", turns, rows, err)
	}
}

func TestARowTellsHowManyTimesWatermillItIs(t *testing.T) {
	made := func(name string, events int64) subject {
		return subject{name, func(context.Context, *lab) (turn, error) {
			return func(context.Context, time.Duration) (sample, error) {
				return sample{events: events, elapsed: time.Second}, nil
			}, nil
		}}
	}
	for peer, reached := range map[int64]bool{4: true, 6: false} {
		p := path{name: "p", goal: goal{atLeast: 0.9, times: 20}, subjects: []subject{
			made("Append", 100), made(subjectOurs, 100), made(subjectWatermill, peer),
		}}
		rows, err := p.measure(t.Context(), newLab(t.Context()), time.Second, 1)
		if err != nil {
			t.Fatal(err)
		}
		if r := rows[1]; r.TimesWatermill != 100/float64(peer) || r.Reached == nil || *r.Reached != reached {
			t.Errorf("against %d: %+v, want reached %t", peer, r, reached)
		}
	}
}

func TestWhatTLSCostsIsComparedWithWhatItCostsTheRawClient(t *testing.T) {
	rates := func(n ...int64) (all [][]sample) {
		for _, events := range n {
			all = append(all, []sample{{events: events, elapsed: time.Second}})
		}
		return all
	}
	p := path{goal: goal{tls: 0.9}, subjects: []subject{{name: subjectRaw}, {name: subjectOurs}, {name: subjectRawPlain}, {name: subjectOursPlain}}}
	for _, c := range []struct {
		ours    int64
		cost    float64
		reached bool
	}{{40, 0.005e9, true}, {32, 0.01125e9, false}} { // of raw 40 of 50 are left, 5 ms each; ours was 50, too
		r := p.row(1, rates(40, c.ours, 50, 50))
		if math.Abs(r.TLSCost-c.cost) > 1 || math.Abs(r.TLSCostRaw-0.005e9) > 1 || r.Reached == nil || *r.Reached != c.reached {
			t.Errorf("ours at %d: %+v, want a cost of %v ns", c.ours, r, c.cost)
		}
	}
}
