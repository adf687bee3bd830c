package durabletest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Report is the judgement of a History. The lists are findings, whether or not they were promised.
type Report struct {
	Appended int // messages acknowledged
	Handled  int // handlers that finished

	Lost       []string // ids appended whose handler never finished
	Unknown    []string // ids handled and never appended
	Duplicated []string // ids started again after they were handled, or beside an attempt that goes on
	Stale      []string // ids started again outside of Promise.Window
	Inverted   []string // "key: later before earlier", by first start
	Overlaps   []string // "key: id by member beside id by another member"
	Parallel   []string // "key: id beside id", by one member

	promise Promise
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
	add(r.promise.Window > 0, "handled again outside of the window", r.Stale)
	add(r.promise.Ordered, "out of order", r.Inverted)
	add(r.promise.Exclusive || r.promise.Serial, "handled by two members at once", r.Overlaps)
	add(r.promise.Serial, "handled beside another of the key", r.Parallel)
	if len(broken) == 0 {
		return nil
	}
	return fmt.Errorf("history of %d appended: %s", r.Appended, strings.Join(broken, "; "))
}

// judge is a copy of a History.
type judge struct {
	appended  []entry
	runs      []run // by start
	deaths    []death
	uncertain map[string]bool
	place     map[string]int // by id: the place in appended
}

func (j *judge) judge(p Promise) Report {
	r := Report{Appended: len(j.appended), promise: p}
	j.place = make(map[string]int, len(j.appended))
	for i, a := range j.appended {
		if _, again := j.place[a.id]; !again {
			j.place[a.id] = i
		}
	}
	j.count(&r)
	j.order(&r)
	j.overlap(&r)
	for _, list := range [][]string{r.Overlaps, r.Parallel} {
		slices.Sort(list)
	}
	return r
}

// count finds what was lost, made up or repeated.
func (j *judge) count(r *Report) {
	byID := map[string][]run{}
	for _, x := range j.runs {
		if x.finished {
			r.Handled++
		}
		byID[x.id] = append(byID[x.id], x)
	}
	for _, x := range j.runs {
		before := byID[x.id]
		if before[0] != x {
			continue
		}
		if _, known := j.place[x.id]; !known && !j.uncertain[x.id] {
			r.Unknown = append(r.Unknown, x.id)
		}
		if j.uncertain[x.id] {
			continue // it may be stored twice
		}
		for i := 1; i < len(before); i++ {
			if last := before[:i]; slices.ContainsFunc(last, func(o run) bool { return o.finished || o.end > before[i].start }) {
				r.Duplicated = append(r.Duplicated, x.id)
				break
			}
		}
		for i := 1; i < len(before); i++ {
			if j.stale(before[:i], before[i], r.promise.Window) {
				r.Stale = append(r.Stale, x.id)
				break
			}
		}
	}
	for _, a := range j.appended {
		if !slices.ContainsFunc(byID[a.id], func(x run) bool { return x.finished }) {
			r.Lost = append(r.Lost, a.id)
		}
	}
}

// stale tells whether a message that was handled before must not have been started again as x.
func (j *judge) stale(before []run, x run, window int) bool {
	for _, o := range before {
		if !o.finished || o.end > x.start {
			continue
		}
		excused := slices.ContainsFunc(j.deaths, func(d death) bool {
			return d.member == o.member && o.end < d.at && d.at < x.start && j.handledBy(o.member, o.end, d.at) < window
		})
		if !excused {
			return true
		}
	}
	return false
}

// handledBy counts what member finished after one moment and before another.
func (j *judge) handledBy(member string, after, before int) int {
	n := 0
	for _, x := range j.runs {
		if x.member == member && x.finished && x.end > after && x.end < before {
			n++
		}
	}
	return n
}

// order finds first starts that came after the first start of a later message of the same key.
func (j *judge) order(r *Report) {
	latest, seen := map[string]int{}, map[string]bool{}
	for _, x := range j.runs {
		at, known := j.place[x.id]
		if !known || seen[x.id] || x.key == "" || j.uncertain[x.id] {
			continue
		}
		seen[x.id] = true
		if last, any := latest[x.key]; any && at < last {
			r.Inverted = append(r.Inverted, fmt.Sprintf("%s: %s before %s", x.key, j.appended[last].id, x.id))
			continue
		}
		latest[x.key] = at
	}
}

// overlap finds runs of one key at the same time.
func (j *judge) overlap(r *Report) {
	byKey := map[string][]run{}
	for _, x := range j.runs {
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
				if o.member == x.member {
					r.Parallel = append(r.Parallel, fmt.Sprintf("%s: %s beside %s", key, x.id, o.id))
					continue
				}
				r.Overlaps = append(r.Overlaps, fmt.Sprintf("%s: %s by %s beside %s by %s", key, x.id, x.member, o.id, o.member))
			}
			open = append(open, x)
		}
	}
}
