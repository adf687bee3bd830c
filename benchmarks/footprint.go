package main

import (
	"os"
	"strconv"
	"strings"
)

// footprint is the resident memory of this process in MB: after the first tenth of
// the events, at most, and at the end.
type footprint struct {
	Early float64 `json:"early"`
	Most  float64 `json:"most"`
	End   float64 `json:"end"`
}

func (m footprint) String() string {
	if m == (footprint{}) {
		return "-"
	}
	return some(m.Early) + "→" + some(m.End) + " (≤ " + some(m.Most) + ")"
}

// join is the worst of two turns.
func (m footprint) join(o footprint) footprint {
	if m == (footprint{}) {
		return o
	}
	return footprint{Early: min(m.Early, o.Early), Most: max(m.Most, o.Most), End: max(m.End, o.End)}
}

// resident is the resident memory of this process in MB, 0 where the system does not tell.
func resident() float64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return 0
	}
	return pages * float64(os.Getpagesize()) / (1 << 20)
}

// watch looks at the memory now; the first look that is not early ends the early part.
func (m *footprint) watch(settled bool) {
	now := resident()
	if settled && m.Early == 0 {
		m.Early = now
	}
	m.Most, m.End = max(m.Most, now), now
}
