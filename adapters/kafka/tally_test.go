package kafka

import (
	"slices"
	"testing"
	"testing/quick"
)

func TestATallyCountsHowOftenEachRecordWasHandedOut(t *testing.T) {
	type owner struct{ Commit, Handed uint8 } // how many it finished, and had handed out beyond
	rule := func(owners []owner) bool {
		counts := map[int64]int{}
		var kept tally
		at := int64(0)
		for _, o := range owners[:min(len(owners), tallySpans-1)] {
			first, next := at+int64(o.Commit%8), at+int64(o.Commit%8)+int64(o.Handed%8)
			for i := at; i < next; i++ {
				counts[i]++
			}
			kept = parseTally(kept.after(first, next).note("Ab3_x9Qz"))
			at = first
			for i := first; i < first+40; i++ {
				if kept.times(i) != counts[i] {
					return false
				}
			}
		}
		return true
	}
	if err := quick.Check(rule, nil); err != nil {
		t.Error(err)
	}
}

func TestATallyIsAShortNoteAndANoteOfOthersIsNone(t *testing.T) {
	if got := (tally{{1042, 3}, {1050, 1}}).note(""); got != "ds1;1042:3;1050:1" {
		t.Errorf("got %q", got)
	}
	if got := tally(nil).after(7, 7).note(""); got != "" {
		t.Errorf("nothing handed out: got %q", got)
	}
	if got := (tally{{1042, 3}}).note("Ab3_x9Qz"); got != "ds1@Ab3_x9Qz;1042:3" || notedIncarnation(got) != "Ab3_x9Qz" {
		t.Errorf("got %q", got)
	}
	if got := notedIncarnation("ds1;1042:3"); got != "" {
		t.Errorf("a note without an incarnation: got %q", got)
	}
	for _, note := range []string{"", "mine", "ds1;x:1", "ds1;5:1;4:1", "ds1;5:0", "ds2;5:1"} {
		if got := parseTally(note); got != nil {
			t.Errorf("%q: got %v, want nothing", note, got)
		}
	}
	long := tally{}
	for i := range int64(100) {
		long = append(long, span{i * 2, int(i%2) + 1})
	}
	if got := long.after(0, 0); len(got) != tallySpans || !slices.Equal(got[:2], long[:2]) {
		t.Errorf("got %d spans that begin %v, want the first %d", len(got), got[:2], tallySpans)
	}
}
