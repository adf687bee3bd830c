package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A row is one subject of one path. Figures are medians over the turns.
type row struct {
	Path           string    `json:"path"`
	Subject        string    `json:"subject"`
	EventsPerS     float64   `json:"events_per_s"`
	RatioToRaw     *float64  `json:"ratio_to_raw"`          // of the metric; null where nothing raw does the work
	RatioError     float64   `json:"ratio_error,omitempty"` // standard error of the ratio, where there are turns enough to tell
	AllocsPerEvent float64   `json:"allocs_per_event"`
	TimesWatermill float64   `json:"times_watermill,omitempty"` // the rate, relative to that of Watermill's adapter
	TLSCost        float64   `json:"tls_ns,omitempty"`          // nanoseconds an event that TLS costs, where the path compares that
	TLSCostRaw     float64   `json:"tls_ns_raw,omitempty"`      // and what it costs the raw client
	Metric         string    `json:"metric"`                    // what the ratio compares; a ratio of latencies is better when less
	P50us          float64   `json:"p50_us,omitempty"`
	P99us          float64   `json:"p99_us,omitempty"`
	Memory         footprint `json:"memory,omitempty"`         // of the turn in which it grew most
	Share          float64   `json:"overhead_share,omitempty"` // of the server's commands
	Turns          int       `json:"turns"`
	TakenAgain     int       `json:"taken_again,omitempty"`  // turns that were not the whole work and were taken again
	ExtraNs        *float64  `json:"extra_ns,omitempty"`     // nanoseconds an event more than the first subject, where that is the goal
	ExtraAllocs    *float64  `json:"extra_allocs,omitempty"` // allocations an event more than the first subject
	Goal           string    `json:"goal,omitempty"`
	Reached        *bool     `json:"goal_reached,omitempty"`

	goal goal
}

// A goal is a bound on a ratio or a rate; the zero value is none.
type goal struct {
	atLeast float64       // of the ratio
	atMost  float64       // of the ratio
	rate    float64       // events a second at least
	grow    float64       // of resident memory, from the first mark to the last
	within  time.Duration // the median, of what is no ratio
	aim     float64       // what would be better still, for the reader

	tls   float64 // what TLS costs an event of the raw client, relative to what it costs one of ours
	times float64 // the rate of Watermill's adapter that it is to be, besides atLeast

	share float64 // of the server's commands that may be overhead

	extraNs     float64 // an event may take this much longer than with the first subject,
	extraAllocs float64 // with this many allocations more
}

// judge tells the goal in words and whether r reaches it.
func (g goal) judge(r row) (string, *bool) {
	ok := true
	switch {
	case g.share > 0:
		ok = r.Share <= g.share
		return fmt.Sprintf("%.1f %% of commands; ≤ %.0f %%", 100*r.Share, 100*g.share), &ok
	case g.tls > 0:
		ok = r.TLSCostRaw > 0 && g.tls*r.TLSCost <= r.TLSCostRaw
		return fmt.Sprintf("TLS: +%.0f ns, raw +%.0f ns; raw/ours ≥ %.2f", r.TLSCost, r.TLSCostRaw, g.tls), &ok
	case g.rate > 0:
		ok = r.EventsPerS >= g.rate
		return "≥ " + count(g.rate) + "/s", &ok
	case g.within > 0:
		ok = r.P50us <= float64(g.within.Microseconds())
		return "≤ " + g.within.String(), &ok
	case g.extraNs > 0 && r.ExtraNs != nil && r.ExtraAllocs != nil:
		ok = *r.ExtraNs <= g.extraNs && *r.ExtraAllocs <= g.extraAllocs
		return fmt.Sprintf("+%.0f ns, +%.1f allocs; ≤ %.0f, %.0f", *r.ExtraNs, *r.ExtraAllocs, g.extraNs, g.extraAllocs), &ok
	case g.grow > 0 && r.Memory.growth() > 0:
		ok = r.Memory.growth() <= g.grow
		return fmt.Sprintf("grows ≤ %.2f", g.grow), &ok
	case r.RatioToRaw == nil:
		return "", nil
	case g.atLeast > 0 && g.times > 0:
		ok = *r.RatioToRaw >= g.atLeast && r.TimesWatermill >= g.times
		return fmt.Sprintf("≥ %s; %.1f times watermill, ≥ %.0f", g.number(g.atLeast), r.TimesWatermill, g.times), &ok
	case g.atLeast > 0:
		ok = *r.RatioToRaw >= g.atLeast
		return "≥ " + g.number(g.atLeast), &ok
	case g.atMost > 0:
		ok = *r.RatioToRaw <= g.atMost
		return "≤ " + g.number(g.atMost), &ok
	}
	return "", nil
}

// disclose says that turns were taken again, of which more than a tenth miss every goal.
func (r *row) disclose() {
	if r.TakenAgain == 0 {
		return
	}
	r.Goal += fmt.Sprintf("; %d of %d turns taken again", r.TakenAgain, r.Turns)
	if 10*r.TakenAgain > r.Turns {
		r.Reached = new(bool)
	}
}

// number is bound with the aim, where there is one.
func (g goal) number(bound float64) string {
	text := strconv.FormatFloat(bound, 'f', 2, 64)
	if g.aim > 0 {
		text += " (aim " + strconv.FormatFloat(g.aim, 'f', 2, 64) + ")"
	}
	return text
}

// report prints rows as they come: JSON objects, or tables.
type report struct {
	out    io.Writer
	json   bool
	err    error
	goals  int      // rows that have one
	missed []string // paths of those that do not reach it
}

func newReport(out io.Writer, asJSON bool) *report { return &report{out: out, json: asJSON} }

// add prints the rows of one path.
func (r *report) add(rows []row) {
	if r.err != nil || len(rows) == 0 {
		return
	}
	for _, one := range rows {
		if one.Reached == nil {
			continue
		}
		if r.goals++; !*one.Reached {
			r.missed = append(r.missed, one.Path)
		}
	}
	if !r.json {
		r.err = table(r.out, rows)
		return
	}
	enc := json.NewEncoder(r.out)
	enc.SetEscapeHTML(false)
	for _, one := range rows {
		if r.err = enc.Encode(one); r.err != nil {
			return
		}
	}
}

// end sums up a table and returns the first error of printing.
func (r *report) end() error {
	if r.err != nil || r.json || r.goals == 0 {
		return r.err
	}
	_, err := fmt.Fprintf(r.out, "%d of %d goals reached", r.goals-len(r.missed), r.goals)
	if err == nil && len(r.missed) > 0 {
		_, err = fmt.Fprintf(r.out, "; not reached: %s", strings.Join(r.missed, ", "))
	}
	if err == nil {
		_, err = fmt.Fprintln(r.out)
	}
	return err
}

func table(out io.Writer, rows []row) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s\tevents/s\t%s ratio\tallocs/event\tp50 µs\tp99 µs\tRSS MB\tgoal\t\t\n", rows[0].Path, rows[0].Metric)
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%s\t%s\t%s\t%s\t%s\t\n", r.Subject, count(r.EventsPerS), ratioText(r.RatioToRaw, r.RatioError),
			r.AllocsPerEvent, some(r.P50us), some(r.P99us), r.Memory, r.Goal, reachedText(r.Reached))
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// ratioText is the ratio with its standard error, where that is known.
func ratioText(ratio *float64, about float64) string {
	if ratio == nil {
		return "-"
	}
	text := strconv.FormatFloat(*ratio, 'f', 3, 64)
	if about > 0 {
		text += " ±" + strconv.FormatFloat(about, 'f', 3, 64)
	}
	return text
}

func reachedText(reached *bool) string {
	switch {
	case reached == nil:
		return ""
	case *reached:
		return "reached"
	default:
		return "not reached"
	}
}

// some is v, or "-" for nothing.
func some(v float64) string {
	if v == 0 {
		return "-"
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// count writes thousands as "12.3k" and millions as "1.23M".
func count(v float64) string {
	switch {
	case v >= 1e6:
		return strconv.FormatFloat(v/1e6, 'f', 2, 64) + "M"
	case v >= 1e3:
		return strconv.FormatFloat(v/1e3, 'f', 1, 64) + "k"
	default:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
}
