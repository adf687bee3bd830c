package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// ledger counts what this process published and handled. It is safe for concurrent use.
type ledger struct {
	begin time.Time
	steps []string
	out   io.Writer // gets a line for every entry that was handled; nil: none

	mu         sync.Mutex
	last       time.Duration       // when the last handler ended
	started    map[string]int      // by ticket: the number of the latest step that was started
	done       map[string]struct{} // by ticket and step
	running    int                 // handlers
	atOnce     int                 // the most that ran
	published  int
	perMember  map[string]int
	duplicates int
	violations int
}

func newLedger() *ledger {
	return &ledger{
		begin: time.Now(), steps: steps(), started: map[string]int{}, done: map[string]struct{}{}, perMember: map[string]int{},
	}
}

func (l *ledger) publishing(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.published += n
}

// starting notes that a handler begins. A step that begins for the first time after a later one is out of order.
func (l *ledger) starting(ticket, step string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running++
	l.atOnce = max(l.atOnce, l.running)
	n := 1 + slices.Index(l.steps, step) // 0: not ours
	if _, again := l.done[ticket+"/"+step]; !again && n < l.started[ticket] {
		l.violations++
	}
	l.started[ticket] = max(n, l.started[ticket])
}

// ended notes that a handler returns.
func (l *ledger) ended() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
}

func (l *ledger) handled(member, ticket, step string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = time.Since(l.begin)
	l.perMember[member]++
	if _, again := l.done[ticket+"/"+step]; again {
		l.duplicates++
	}
	l.done[ticket+"/"+step] = struct{}{}
	if l.out != nil {
		_, _ = fmt.Fprintln(l.out, "handled", ticket+"/"+step)
	}
}

// any tells whether anything was handled.
func (l *ledger) any() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.done) > 0
}

// report is the outcome of this process.
type report struct {
	Backend         string         `json:"backend"`
	Order           string         `json:"order"`
	Published       int            `json:"published"`
	Processed       int            `json:"processed"` // distinct entries
	Duplicates      int            `json:"duplicates"`
	OrderViolations int            `json:"order_violations"`
	Seconds         float64        `json:"seconds"` // to the end of the last handler
	AtOnce          int            `json:"at_once"` // the most handlers that ran in this process
	PerMember       map[string]int `json:"per_member"`
}

func (l *ledger) report(backend, order string) report {
	l.mu.Lock()
	defer l.mu.Unlock()
	return report{
		Backend: backend, Order: order, Published: l.published, Processed: len(l.done), Duplicates: l.duplicates,
		OrderViolations: l.violations, Seconds: l.last.Seconds(), AtOnce: l.atOnce, PerMember: maps.Clone(l.perMember),
	}
}

// verdict is nil unless an order that was promised was broken.
func (r report) verdict() error {
	if r.Order == orderKey && r.OrderViolations > 0 {
		return fmt.Errorf("%d tickets were handled out of order", r.OrderViolations)
	}
	return nil
}

func (r report) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name string, value any, note string) { fmt.Fprintf(w, "%s\t%v\t%s\n", name, value, note) }
	row("backend", r.Backend, "")
	row("published", r.Published, "by this process")
	row("processed", r.Processed, "by this process, of whoever published it")
	row("duplicates", r.Duplicates, "handled again")
	note := "within a ticket"
	if r.Order == orderNone {
		note += ", where no order was asked for"
	}
	row("order violations", r.OrderViolations, note)
	row("at once", r.AtOnce, "handlers at most")
	row("run", fmt.Sprintf("%.2f s", r.Seconds), "")
	for _, name := range slices.Sorted(maps.Keys(r.PerMember)) {
		row("member "+name, r.PerMember[name], "")
	}
	return w.Flush()
}
