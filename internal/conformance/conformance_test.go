package conformance

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestARecorderObservesInsteadOfFailing(t *testing.T) {
	for name, c := range map[string]struct {
		run    func(testing.TB)
		failed bool
		text   string
	}{
		"nothing": {func(testing.TB) {}, false, ""},
		"log":     {func(t testing.TB) { t.Log("a", 1) }, false, "a 1"},
		"error":   {func(t testing.TB) { t.Errorf("x%d", 1) }, true, "x1"},
		"fatal":   {func(t testing.TB) { t.Fatal("end"); t.Log("after") }, true, "end"},
		"panic":   {func(testing.TB) { panic("oops") }, true, "panic: oops"},
		"cleanup": {func(t testing.TB) { t.Cleanup(func() { t.Fatal("late") }) }, true, "late"},
	} {
		t.Run(name, func(t *testing.T) {
			r := Observe(t, c.run)
			if r.Failed() != c.failed || strings.TrimSpace(r.String()) != c.text {
				t.Errorf("got failed %v and %q, want %v and %q", r.Failed(), r, c.failed, c.text)
			}
		})
	}
}

func TestCleanupsRunTheLastFirstAndAllOfThem(t *testing.T) {
	var got []string
	Observe(t, func(t testing.TB) {
		t.Cleanup(func() { got = append(got, "first") })
		t.Cleanup(func() {
			t.Cleanup(func() { got = append(got, "nested") })
			got = append(got, "second")
			t.FailNow()
		})
	})
	if want := "second nested first"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestWithinFindsWhatDoesNotReturn(t *testing.T) {
	end := make(chan struct{})
	r := Observe(t, func(t testing.TB) {
		err := NewEnv(t, 10*time.Millisecond).Within("sleep", func(context.Context) error { <-end; return nil })
		if !errors.Is(err, ErrStuck) {
			t.Errorf("got %v, want ErrStuck", err)
		}
	})
	close(end)
	if want := "sleep did not return within 10ms"; r.String() != want || !r.Failed() {
		t.Errorf("got %q, failed %v, want %q", r, r.Failed(), want)
	}
}

func TestWithinFindsAPanic(t *testing.T) {
	r := Observe(t, func(t testing.TB) {
		_ = NewEnv(t, time.Minute).Within("f", func(context.Context) error { panic("oops") })
	})
	if want := "f panicked: oops"; r.String() != want || !r.Failed() {
		t.Errorf("got %q, failed %v, want %q", r, r.Failed(), want)
	}
}

// toy is a suite whose backends are numbers: they claim to be even, and to be positive where they are not 0.
func toy() Suite[int, int, *toyEnv] {
	return Suite[int, int, *toyEnv]{
		Checks: []Check[int, int, *toyEnv]{
			{Name: "Even", Run: func(e *toyEnv) {
				if e.n%2 != 0 {
					e.Errorf("%d is odd", e.n)
				}
			}},
			{Name: "Positive", Alone: true, Needs: func(caps, _ int) bool { return caps != 0 }, Run: func(e *toyEnv) {
				if e.n < 0 {
					e.Fatalf("%d is negative", e.n)
				}
			}},
		},
		Fill:         func(_ testing.TB, n int) int { return n },
		Capabilities: func(_ testing.TB, n int) int { return n },
		Env:          func(t testing.TB, n, _ int) *toyEnv { return &toyEnv{NewEnv(t, time.Second), n} },
	}
}

type toyEnv struct {
	Env
	n int
}

func TestASuiteRunsWhatTheCapabilitiesCallFor(t *testing.T) {
	s := toy()
	s.Run(t, 0)
	s.Run(t, 2)
	s.Passes(t, func(testing.TB) int { return 4 })
	s.Catches(t, []Fault[int]{
		{Name: "odd", Check: "Even", Harness: func(testing.TB) int { return 3 }},
		{Name: "negative", Check: "Positive", Harness: func(testing.TB) int { return -2 }},
	})
	if r := s.Observe(t, s.Named(t, "Positive"), 0); r.Failed() {
		t.Errorf("a check that is not called for failed: %s", r)
	}
	if r := Observe(t, func(t testing.TB) { s.Named(t, "Prime") }); !r.Failed() {
		t.Error("an unknown check is found")
	}
}
