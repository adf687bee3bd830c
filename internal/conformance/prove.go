package conformance

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Fault is a backend that breaks one promise, and the check that must find it.
type Fault[H any] struct {
	Name    string
	Check   string
	Harness func(testing.TB) H // called once per run
}

// Runs is few, or many where DUALSTREAM_SOAK is 1.
func Runs(few, many int) int {
	if os.Getenv("DUALSTREAM_SOAK") == "1" {
		return many
	}
	return few
}

// atOnce is how many runs of one check go side by side: most of the time they wait.
const atOnce = 4

// repeat observes c in n runs, side by side unless it runs alone, and returns the first recorder that judge refuses.
func (s Suite[C, H, E]) repeat(t *testing.T, c Check[C, H, E], n int, harness func(testing.TB) H, judge func(*Recorder) bool) *Recorder {
	t.Helper()
	workers := min(atOnce, n)
	if c.Alone {
		workers = 1
	} else {
		t.Parallel()
	}
	var left atomic.Int64
	var refused atomic.Pointer[Recorder]
	left.Store(int64(n))
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for refused.Load() == nil && left.Add(-1) >= 0 {
				if r := s.Observe(t, c, harness(t)); !judge(r) {
					refused.CompareAndSwap(nil, r)
				}
			}
		})
	}
	wg.Wait()
	return refused.Load()
}

// Catches fails t unless each fault is found by its check in each of 3 runs (20 under DUALSTREAM_SOAK).
func (s Suite[C, H, E]) Catches(t *testing.T, faults []Fault[H]) {
	t.Helper()
	for _, f := range faults {
		c := s.Named(t, f.Check)
		t.Run(strings.ReplaceAll(f.Name, " ", "_"), func(t *testing.T) {
			if r := s.repeat(t, c, Runs(3, 20), f.Harness, (*Recorder).Failed); r != nil {
				t.Fatalf("%s did not notice: %s", f.Check, r)
			}
		})
	}
}

// Passes fails t unless a correct backend passes every check in each of 3 runs (100 under DUALSTREAM_SOAK).
func (s Suite[C, H, E]) Passes(t *testing.T, harness func(testing.TB) H) {
	t.Helper()
	passed := func(r *Recorder) bool { return !r.Failed() }
	for _, c := range s.Checks {
		t.Run(c.Name, func(t *testing.T) {
			if r := s.repeat(t, c, Runs(3, 100), harness, passed); r != nil {
				t.Fatal(r)
			}
		})
	}
}
