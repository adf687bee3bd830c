package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/dualstream/dualstream/durable"
)

const (
	sourceType = "shop"
	metaRun    = "run" // tells the events of runs apart that share a topic
	metaSeq    = "seq" // number of the event within its source, from 0

	silence = 4 * time.Second // notifications that are this late are not waited for
)

// sourceIDs are the sources: names with a slash, a colon and the characters of patterns among them.
func sourceIDs() []string {
	ids := []string{"octocat", "owner/repo", "a:b", "a*[1]"}
	for i := range 60 {
		ids = append(ids, "customer-"+strconv.Itoa(i))
	}
	return ids
}

// entry is the life of one event; times are since the start of the run, 0: not yet.
type entry struct {
	source, seq int
	published   time.Duration
	stored      bool // acknowledged by the durable backend
	announced   bool
	received    time.Duration
	processed   time.Duration
}

// ledger keeps what happened to every event of this run. It is safe for concurrent use.
type ledger struct {
	run     string
	begin   time.Time
	sources []string
	events  []durable.Event // one after the other over the sources; constant
	index   map[string]int  // by id; constant

	mu         sync.Mutex
	entries    []entry
	next       []int // per source: the number that is processed next
	stored     int
	announced  int
	received   int
	processed  int // distinct events
	duplicates int
	violations int
	changed    chan struct{} // 1: something was counted
}

func newLedger(n int) *ledger {
	l := &ledger{
		run: durable.NewID(), begin: time.Now(), sources: sourceIDs(),
		index: make(map[string]int, n), entries: make([]entry, n), changed: make(chan struct{}, 1),
	}
	l.next = make([]int, len(l.sources))
	for i := range n {
		source, seq := i%len(l.sources), i/len(l.sources)
		e := durable.Event{
			Type: "order.created", SourceType: sourceType, SourceID: l.sources[source],
			Data: fmt.Appendf(nil, `{"order":%d}`, i), ContentType: "application/json",
			Metadata: map[string]string{metaRun: l.run, metaSeq: strconv.Itoa(seq)},
		}.Fill()
		l.events = append(l.events, e)
		l.index[e.ID] = i
		l.entries[i] = entry{source: source, seq: seq}
	}
	return l
}

func (l *ledger) count(f func()) {
	l.mu.Lock()
	f()
	l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// publishing notes the first attempt to publish event i.
func (l *ledger) publishing(i int) {
	l.count(func() {
		if l.entries[i].published == 0 {
			l.entries[i].published = time.Since(l.begin)
		}
	})
}

// storing notes that event i was acknowledged.
func (l *ledger) storing(i int, announced bool) {
	l.count(func() {
		e := &l.entries[i]
		if !e.stored {
			e.stored = true
			l.stored++
		}
		if announced && !e.announced {
			e.announced = true
			l.announced++
		}
	})
}

// processing notes that a handler got the event id; others' events are none of ours.
func (l *ledger) processing(id string) {
	i, ours := l.index[id]
	if !ours {
		return
	}
	l.count(func() {
		e := &l.entries[i]
		if e.processed > 0 {
			l.duplicates++
			return
		}
		e.processed = time.Since(l.begin)
		l.processed++
		if e.seq != l.next[e.source] {
			l.violations++
		}
		l.next[e.source] = max(l.next[e.source], e.seq+1)
	})
}

// receiving notes a notification and tells how long after publishing it came; false for others' and repeated ones.
func (l *ledger) receiving(id string) (after time.Duration, n int, first bool) {
	i, ours := l.index[id]
	if !ours {
		return 0, 0, false
	}
	l.count(func() {
		e := &l.entries[i]
		if e.received > 0 {
			return
		}
		e.received, first = time.Since(l.begin), true
		l.received++
		after, n = e.received-e.published, l.received
	})
	return after, n, first
}

// await returns when everything that was stored was processed, and announced notifications came or are overdue.
func (l *ledger) await(ctx context.Context) {
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	overdue := false
	for {
		l.mu.Lock()
		processed := l.processed >= l.stored
		received := l.received >= l.announced
		l.mu.Unlock()
		if processed && (received || overdue) {
			return
		}
		select {
		case <-l.changed:
			overdue = false
			quiet.Reset(silence)
		case <-quiet.C:
			overdue = true
		case <-ctx.Done():
			return
		}
	}
}
