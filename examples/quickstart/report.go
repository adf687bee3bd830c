package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"golang.org/x/term"
)

// report is the outcome of a run. Latencies are from the call of Publish to the live listener, and to the handler.
type report struct {
	Backend         string  `json:"backend"`
	Stored          int     `json:"stored"`
	Announced       int     `json:"announced"`
	Received        int     `json:"received"`
	Processed       int     `json:"processed"`
	Duplicates      int     `json:"duplicates"`
	Lost            int     `json:"lost"`
	OrderViolations int     `json:"order_violations"`
	P50             float64 `json:"p50_ms"`
	P99             float64 `json:"p99_ms"`
	ProcessP50      float64 `json:"process_p50_ms"`
	ProcessP99      float64 `json:"process_p99_ms"`
	Seconds         float64 `json:"seconds"`

	wanted int
}

func (l *ledger) report(backend string) report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := report{
		Backend: backend, Stored: l.stored, Announced: l.announced, Received: l.received, Processed: l.processed,
		Duplicates: l.duplicates, OrderViolations: l.violations, wanted: len(l.events),
		Seconds: time.Since(l.begin).Seconds(),
	}
	var live, handled []time.Duration
	for _, e := range l.entries {
		if e.stored && e.processed == 0 {
			r.Lost++
		}
		if e.received > 0 {
			live = append(live, e.received-e.published)
		}
		if e.processed > 0 {
			handled = append(handled, e.processed-e.published)
		}
	}
	r.P50, r.P99 = quantile(live, 0.50), quantile(live, 0.99)
	r.ProcessP50, r.ProcessP99 = quantile(handled, 0.50), quantile(handled, 0.99)
	return r
}

// quantile is in milliseconds, 0 where there is nothing.
func quantile(ds []time.Duration, q float64) float64 {
	if len(ds) == 0 {
		return 0
	}
	slices.Sort(ds)
	return float64(ds[int(q*float64(len(ds)-1))]) / float64(time.Millisecond)
}

// verdict is nil where everything was stored and nothing lost or out of order.
func (r report) verdict() error {
	if r.Stored < r.wanted {
		return fmt.Errorf("only %d of %d events were stored in time", r.Stored, r.wanted)
	}
	if r.Lost > 0 || r.OrderViolations > 0 {
		return fmt.Errorf("%d events lost, %d out of order", r.Lost, r.OrderViolations)
	}
	return nil
}

func (r report) table(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		name  string
		value any
		note  string
	}{
		{"backend", r.Backend, ""},
		{"stored", r.Stored, "acknowledged by the durable stream"},
		{"announced", r.Announced, "handed to the real-time bus"},
		{"received", r.Received, "by the live listener (best effort)"},
		{"processed", r.Processed, "by the group (at least once)"},
		{"duplicates", r.Duplicates, "processed again"},
		{"lost", r.Lost, "acknowledged and never processed"},
		{"order violations", r.OrderViolations, "within a source"},
		{"live p50 / p99", fmt.Sprintf("%.2f / %.2f ms", r.P50, r.P99), "publish to listener"},
		{"group p50 / p99", fmt.Sprintf("%.2f / %.2f ms", r.ProcessP50, r.ProcessP99), "publish to handler"},
		{"run", fmt.Sprintf("%.2f s", r.Seconds), ""},
	} {
		if _, err := fmt.Fprintf(w, "%s\t%v\t%s\n", row.name, row.value, row.note); err != nil {
			return err
		}
	}
	return w.Flush()
}

// progress keeps one line up to date on a terminal, until ctx ends.
func progress(ctx context.Context, l *ledger, out io.Writer) {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.mu.Lock()
			_, _ = fmt.Fprintf(f, "\r\x1b[Kstored %d/%d, received %d, processed %d", l.stored, len(l.events), l.received, l.processed)
			l.mu.Unlock()
		case <-ctx.Done():
			_, _ = fmt.Fprint(f, "\r\x1b[K")
			return
		}
	}
}
