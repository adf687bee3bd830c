package redisstream

import (
	"testing"
	"time"
)

func TestLargeEntriesAreReadByTheFew(t *testing.T) {
	for size, want := range map[int]int{0: fewEntries, 1: readCount, readBytes / 4: 4, 2 * readBytes: 1} {
		if n := few(readCount, size); n != want {
			t.Errorf("of %d bytes: got %d, want %d", size, n, want)
		}
	}
}

func TestAMemberTakesAboutWhatItCanWorkOff(t *testing.T) {
	var p pace
	now := time.Now()
	if n := p.room(0, now, now); n != 2*leastOpen {
		t.Errorf("at first: got room for %d, want %d", n, 2*leastOpen)
	}
	for range 20 {
		p.room(0, now, now)
	}
	if n := p.room(0, now, now); n != mostOpen {
		t.Errorf("fast: got room for %d, want %d", n, mostOpen)
	}
	for range 20 { // full, and something is finished now and then
		p.room(mostOpen, now, now)
		now = now.Add(2 * crowdTime)
	}
	if p.target != leastOpen || p.room(leastOpen, now, now) != 0 || p.room(leastOpen-1, now, now) != 1 {
		t.Errorf("slow: got a target of %d, want %d", p.target, leastOpen)
	}
	stuck := now
	if n := p.room(500, now, stuck); n != 0 {
		t.Errorf("full: got room for %d, want none", n)
	}
	if n := p.room(500, now.Add(stuckTime), stuck); n != leastOpen {
		t.Errorf("stuck: got room for %d, want %d more", n, leastOpen)
	}
}
