package main

import (
	"os"
	"runtime/metrics"
	"strconv"
	"strings"
)

// footprint is the memory of a process, as events pass through it.
type footprint []mark

// mark is the memory after so many events.
type mark struct {
	Events int64   `json:"events"`
	RSS    float64 `json:"rss_mb"`
	Live   float64 `json:"live_mb"` // of the heap, what the last collection found in use
}

// take adds a mark of now.
func (f *footprint) take(events int64) { f.add(events, resident()) }

func (f *footprint) add(events int64, rss float64) {
	*f = append(*f, mark{Events: events, RSS: rss, Live: liveHeap()})
}

// growth is the last mark's resident memory relative to the first's, 0 where nothing was measured.
func (f footprint) growth() float64 {
	if len(f) == 0 || f[0].RSS == 0 {
		return 0
	}
	return f[len(f)-1].RSS / f[0].RSS
}

func (f footprint) String() string {
	if len(f) == 0 {
		return "-"
	}
	var text []string
	for _, m := range f {
		text = append(text, some(m.RSS))
	}
	return strings.Join(text, "→")
}

// worse is the one that grew more.
func (f footprint) worse(o footprint) footprint {
	if o.growth() > f.growth() {
		return o
	}
	return f
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

func liveHeap() float64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return float64(s[0].Value.Uint64()) / (1 << 20)
}
