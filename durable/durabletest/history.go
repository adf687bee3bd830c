package durabletest

import (
	"math"
	"slices"
	"sync"
)

// History records what a run appended and handled, and judges it. Its order is that of the calls, not of clocks.
// The zero value is ready; methods are safe for concurrent use.
type History struct {
	mu        sync.Mutex
	now       int
	appended  []entry
	uncertain map[string]bool
	runs      []run
	deaths    []death
}

type entry struct{ key, id string }

// run is one start of a handler.
type run struct {
	member, key, id string
	start, end      int
	finished        bool
}

type death struct {
	member string
	at     int
}

// Promise is what a History is held against, besides that nothing appended is lost and nothing made up.
type Promise struct {
	Once      bool // every message is started once, but for attempts that failed
	Ordered   bool // the first starts of the messages of a key are in the order of appending
	Exclusive bool // no two members handle one key at the same time
	Serial    bool // a key has one handler at a time, whoever runs it
	// Window, if not 0, is how many handled messages the death of a member may bring back: a message that was handled
	// is started again only if the member that handled it died before it had handled Window more.
	Window int
}

// Appended notes an acknowledged message; call it in the order of appending of the key.
func (h *History) Appended(key, id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.appended = append(h.appended, entry{key, id})
}

// Uncertain notes a message whose outcome is unknown: it may be stored or not, and twice if it is appended again.
func (h *History) Uncertain(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.uncertain == nil {
		h.uncertain = map[string]bool{}
	}
	h.uncertain[id] = true
}

// Started notes that member began to handle a message; the caller calls finish when it is handled.
func (h *History) Started(member, key, id string) (finish func()) {
	end := h.start(member, key, id)
	return func() { end(true) }
}

// Ran notes one attempt of a handler, which its error or its panic ends unfinished.
func (h *History) Ran(member, key, id string, handle func() error) error {
	end, finished := h.start(member, key, id), false
	defer func() { end(finished) }()
	err := handle()
	finished = err == nil
	return err
}

func (h *History) start(member, key, id string) (end func(finished bool)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now++
	at := len(h.runs)
	h.runs = append(h.runs, run{member: member, key: key, id: id, start: h.now, end: math.MaxInt})
	return func(finished bool) {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.runs[at].end == math.MaxInt {
			h.now++
			h.runs[at].end, h.runs[at].finished = h.now, finished
		}
	}
}

// Died notes that member was killed, or lost all that it owned: what it was handling ends unfinished.
func (h *History) Died(member string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now++
	h.deaths = append(h.deaths, death{member, h.now})
	for i := range h.runs {
		if h.runs[i].member == member && h.runs[i].end == math.MaxInt {
			h.runs[i].end = h.now
		}
	}
}

// Check judges what was recorded so far.
func (h *History) Check(p Promise) Report {
	h.mu.Lock()
	j := judge{appended: slices.Clone(h.appended), runs: slices.Clone(h.runs), deaths: slices.Clone(h.deaths), uncertain: map[string]bool{}}
	for id := range h.uncertain {
		j.uncertain[id] = true
	}
	h.mu.Unlock()
	return j.judge(p)
}
