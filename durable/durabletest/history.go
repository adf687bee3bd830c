package durabletest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
)

// History records what a run appended and handled, and judges it. Its order is that of the calls, not of clocks.
// The zero value is ready; methods are safe for concurrent use.
type History struct {
	mu       sync.Mutex
	now      int
	appended []entry
	runs     []run
}

type entry struct{ key, id string }

// run is one start of a handler.
type run struct {
	member, key, id string
	start, end      int
	finished        bool
}

// Promise is what a History is held against, besides that nothing appended is lost.
type Promise struct {
	Once      bool // every message is handled once
	Ordered   bool // the first starts of the messages of a key are in the order of appending
	Exclusive bool // no two members handle one key at the same time
}

// Report is the judgement of a History. The lists are findings, whether or not they were promised.
type Report struct {
	Appended int // messages acknowledged
	Handled  int // handlers that finished

	Lost       []string // ids appended whose handler never finished
	Unknown    []string // ids handled and never appended
	Duplicated []string // ids started more than once
	Inverted   []string // "key: later before earlier", by first start
	Overlaps   []string // "key: id by member beside id by member"

	promise Promise
}

// Appended notes an acknowledged message; call it in the order of appending of the key.
func (h *History) Appended(key, id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.appended = append(h.appended, entry{key, id})
}

// Started notes that member began to handle a message; the caller calls finish when it is handled.
func (h *History) Started(member, key, id string) (finish func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now++
	at := len(h.runs)
	h.runs = append(h.runs, run{member: member, key: key, id: id, start: h.now, end: math.MaxInt})
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.runs[at].end == math.MaxInt {
			h.now++
			h.runs[at].end, h.runs[at].finished = h.now, true
		}
	}
}

// Died notes that member was killed: what it was handling ends unfinished.
func (h *History) Died(member string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now++
	for i := range h.runs {
		if h.runs[i].member == member && h.runs[i].end == math.MaxInt {
			h.runs[i].end = h.now
		}
	}
}

// Check judges what was recorded so far.
func (h *History) Check(p Promise) Report {
	h.mu.Lock()
	appended, runs := slices.Clone(h.appended), slices.Clone(h.runs)
	h.mu.Unlock()
	r := Report{Appended: len(appended), promise: p}
	place := make(map[string]int, len(appended))
	for i, a := range appended {
		place[a.id] = i
	}
	r.count(appended, place, runs)
	r.order(appended, place, runs)
	r.overlap(runs)
	return r
}

// count finds what was lost, made up or repeated.
func (r *Report) count(appended []entry, place map[string]int, runs []run) {
	starts, finished := map[string]int{}, map[string]bool{}
	for _, x := range runs {
		starts[x.id]++
		if x.finished {
			r.Handled++
			finished[x.id] = true
		}
		if _, known := place[x.id]; !known && starts[x.id] == 1 {
			r.Unknown = append(r.Unknown, x.id)
		}
		if starts[x.id] == 2 {
			r.Duplicated = append(r.Duplicated, x.id)
		}
	}
	for _, a := range appended {
		if !finished[a.id] {
			r.Lost = append(r.Lost, a.id)
		}
	}
}

// order finds first starts that came after the first start of a later message of the same key.
func (r *Report) order(appended []entry, place map[string]int, runs []run) {
	latest, seen := map[string]int{}, map[string]bool{}
	for _, x := range runs {
		at, known := place[x.id]
		if !known || seen[x.id] || x.key == "" {
			continue
		}
		seen[x.id] = true
		if last, any := latest[x.key]; any && at < last {
			r.Inverted = append(r.Inverted, fmt.Sprintf("%s: %s before %s", x.key, appended[last].id, x.id))
			continue
		}
		latest[x.key] = at
	}
}

// overlap finds runs of one key by two members at the same time.
func (r *Report) overlap(runs []run) {
	byKey := map[string][]run{}
	for _, x := range runs {
		if x.key != "" {
			byKey[x.key] = append(byKey[x.key], x)
		}
	}
	for key, rs := range byKey {
		slices.SortFunc(rs, func(a, b run) int { return cmp.Compare(a.start, b.start) })
		var open []run
		for _, x := range rs {
			open = slices.DeleteFunc(open, func(o run) bool { return o.end < x.start })
			for _, o := range open {
				if o.member != x.member {
					r.Overlaps = append(r.Overlaps, fmt.Sprintf("%s: %s by %s beside %s by %s", key, x.id, x.member, o.id, o.member))
				}
			}
			open = append(open, x)
		}
	}
	slices.Sort(r.Overlaps)
}

// Err is nil where the promise was kept, else it names what was broken, with a few examples.
func (r Report) Err() error {
	var broken []string
	add := func(promised bool, what string, found []string) {
		if promised && len(found) > 0 {
			broken = append(broken, fmt.Sprintf("%d %s, such as %q", len(found), what, found[:min(3, len(found))]))
		}
	}
	add(true, "lost", r.Lost)
	add(true, "handled and never appended", r.Unknown)
	add(r.promise.Once, "duplicated", r.Duplicated)
	add(r.promise.Ordered, "out of order", r.Inverted)
	add(r.promise.Exclusive, "handled by two members at once", r.Overlaps)
	if len(broken) == 0 {
		return nil
	}
	return fmt.Errorf("history of %d appended: %s", r.Appended, strings.Join(broken, "; "))
}
