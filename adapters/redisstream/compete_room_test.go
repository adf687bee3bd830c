package redisstream

import (
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
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

// TestWhatWaitsIsSharedOutToTheReaders has one reader for each partition, as on a cluster, and one partition paused.
func TestWhatWaitsIsSharedOutToTheReaders(t *testing.T) {
	m := &competitor{shares: []*share{{open: 100}, {open: 300}, {open: 400, paused: true}}}
	for _, c := range []struct {
		only *share
		want int
	}{{m.shares[0], 10}, {m.shares[1], 30}, {nil, 40}} {
		r := &reader{competitor: m, only: c.only}
		held, all, _ := r.opened()
		m.group = durable.Group{}
		if r.waitingOf(held, all) != nil {
			t.Error("got a number of what waits where none is known")
		}
		m.group.Waiting = func() int { return 80 }
		if got := r.waitingOf(held, all)(); got != c.want {
			t.Errorf("of %d open: got %d that wait, want %d", held, got, c.want)
		}
	}
}
