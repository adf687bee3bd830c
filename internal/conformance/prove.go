package conformance

import (
	"os"
	"strings"
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

// Catches fails t unless each fault is found by its check in each of 3 runs (20 under DUALSTREAM_SOAK).
func (s Suite[C, H, E]) Catches(t *testing.T, faults []Fault[H]) {
	t.Helper()
	for _, f := range faults {
		c := s.Named(t, f.Check)
		t.Run(strings.ReplaceAll(f.Name, " ", "_"), func(t *testing.T) {
			if !c.Alone {
				t.Parallel()
			}
			for i := range Runs(3, 20) {
				r := s.Observe(t, c, f.Harness(t))
				if !r.Failed() {
					t.Fatalf("run %d: %s did not notice: %s", i, f.Check, r)
				}
				if i == 0 {
					t.Logf("%s: %s", f.Check, r)
				}
			}
		})
	}
}

// Passes fails t unless a correct backend passes every check in each of 3 runs (100 under DUALSTREAM_SOAK).
func (s Suite[C, H, E]) Passes(t *testing.T, harness func(testing.TB) H) {
	t.Helper()
	for _, c := range s.Checks {
		t.Run(c.Name, func(t *testing.T) {
			if !c.Alone {
				t.Parallel()
			}
			for i := range Runs(3, 100) {
				if r := s.Observe(t, c, harness(t)); r.Failed() {
					t.Fatalf("run %d: %s", i, r)
				}
			}
		})
	}
}
