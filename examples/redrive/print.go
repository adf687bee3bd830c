package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/dualstream/dualstream/middleware"
)

// list prints a table.
func list(ctx context.Context, r middleware.Redrive, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tTYPE\tTOPIC\tGROUP\tCLASS\tATTEMPTS\tLOOPS\tLAST FAILURE\tREASON")
	seen, err := look(r.List(ctx), func(p middleware.PoisonRecord) error {
		_, err := fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", clean(p.ID, 40), clean(p.Type, 40), clean(p.Origin, 40),
			clean(p.Group, 30), clean(p.Class, 12), p.Attempts, p.Loops, at(p.Last), clean(p.Reason, 60))
		return err
	})
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	events := "events"
	if seen.total == 1 {
		events = "event"
	}
	if _, err := fmt.Fprintf(out, "%d %s in %s\n", seen.total, events, r.Topic); err != nil {
		return err
	}
	return seen.explain(ctx, r, out)
}

// show prints each event in full.
func show(ctx context.Context, r middleware.Redrive, out io.Writer) error {
	seen, err := look(r.List(ctx), func(p middleware.PoisonRecord) error {
		fmt.Fprintf(out, "%s at %s, partition %d\n", clean(p.ID, 200), p.Position, p.Partition)
		keys := make([]string, 0, len(p.Message.Metadata))
		for k := range p.Message.Metadata {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			fmt.Fprintf(out, "  %s: %s\n", clean(k, 100), clean(p.Message.Metadata[k], 1100))
		}
		_, err := fmt.Fprintf(out, "  %d bytes: %s\n\n", len(p.Message.Payload), clean(string(p.Message.Payload), 4000))
		return err
	})
	if err != nil {
		return err
	}
	return seen.explain(ctx, r, out)
}

func summary(out io.Writer, s settings, r middleware.RedriveReport) error {
	done := fmt.Sprintf("%d moved", r.Moved)
	if s.verb == "drop" {
		done = fmt.Sprintf("%d dropped", r.Dropped)
	}
	if s.redrive.DryRun {
		done += " (dry run: nothing was changed)"
	}
	_, err := fmt.Fprintf(out, "%s; left: %d that came back too often, %d whose original is gone; %d were done before\n",
		done, r.Looping, r.Missing, r.Done)
	return err
}

func at(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// clean is s for a terminal: at most most characters, none of which controls it.
func clean(s string, most int) string {
	if s == "" {
		return "-"
	}
	n := 0
	s = strings.Map(func(r rune) rune {
		switch n++; {
		case n > most:
			return -1
		case !unicode.IsPrint(r):
			return '.'
		}
		return r
	}, strings.ToValidUTF8(s, "."))
	if n > most {
		s += "…"
	}
	return s
}

const barWidth = 30

// bar shows progress on a terminal, and nothing elsewhere.
type bar struct {
	out   io.Writer
	total int
	begin time.Time
}

func newBar(out io.Writer, total int) *bar {
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || total == 0 {
		return &bar{out: io.Discard, total: max(total, 1), begin: time.Now()}
	}
	return &bar{out: out, total: total, begin: time.Now()}
}

func (b *bar) at(n int) { fmt.Fprint(b.out, b.line(n, time.Since(b.begin))) }

func (b *bar) line(n int, took time.Duration) string {
	n = min(n, b.total)
	filled := barWidth * n / b.total
	rate := float64(n) / max(took.Seconds(), 0.001)
	return fmt.Sprintf("\r[%s%s] %d/%d, %.0f/s ", strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled), n, b.total, rate)
}

func (b *bar) end() { fmt.Fprint(b.out, "\n") }
