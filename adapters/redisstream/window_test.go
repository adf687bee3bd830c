package redisstream

import (
	"maps"
	"math/rand/v2"
	"testing"
)

func TestTheWindowAdvancesOverTheFinishedPrefixAlone(t *testing.T) {
	var w window
	const n = 10_000
	for i := range n {
		w.add(slot{no: entryNo{uint64(i / 3), uint64(i % 3)}, attempt: 1})
	}
	at := 0
	done := make([]bool, n)
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		s := w.find(entryNo{uint64(i / 3), uint64(i % 3)})
		if s == nil || s.state != slotOpen {
			t.Fatalf("entry %d: got %+v, want an open slot", i, s)
		}
		s.state, done[i] = slotDone, true
		want := at
		for want < n && done[want] {
			want++
		}
		moved, last := w.advance()
		if moved != want-at || moved > 0 && last != (entryNo{uint64((want - 1) / 3), uint64((want - 1) % 3)}) {
			t.Fatalf("after entry %d: got %d to %v, want %d", i, moved, last, want-at)
		}
		at = want
	}
	if w.len() != 0 || w.find(entryNo{1, 1}) != nil {
		t.Errorf("got %d slots at the end, want none", w.len())
	}
}

func TestTheWindowGivesMemoryBack(t *testing.T) {
	var w window
	for i := range 1_000_000 {
		w.add(slot{no: entryNo{uint64(i), 0}})
		if i >= 100 {
			w.find(entryNo{uint64(i - 100), 0}).state = slotDone
			w.advance()
		}
	}
	if cap(w.slots) > 20_000 {
		t.Errorf("got room for %d slots, of which 100 are used", cap(w.slots))
	}
}

func TestAJournalIsReadAsItWasWritten(t *testing.T) {
	var w window
	for i := range 6 {
		w.add(slot{no: entryNo{uint64(i), 7}, attempt: int32(1 + i%3)})
	}
	w.slots[1].state, w.slots[2].state = slotDone, slotBack
	j := journal{{9, 9}: 4}
	w.journal(j, entryNo{3, 7})
	want := journal{
		{0, 7}: 1, {1, 7}: journalDone, {2, 7}: 3, {3, 7}: 1, // started
		{4, 7}: 1, {5, 7}: 2, // started by an owner before
		{9, 9}: 4, // not read
	}
	if !maps.Equal(j, want) {
		t.Errorf("got %v, want %v", j, want)
	}
	text := j.text(entryNo{0, 6})
	if got := parseJournal(text, entryNo{0, 6}); !maps.Equal(got, want) {
		t.Errorf("got %v from %q, want %v", got, text, want)
	}
	if got := parseJournal(text, entryNo{0, 5}); got != nil {
		t.Errorf("got %v at a position that was set back, want nothing", got)
	}
	if got := parseJournal("rubbish 1-1=x =", entryNo{}); len(got) > 0 {
		t.Errorf("got %v from rubbish, want nothing", got)
	}
}
