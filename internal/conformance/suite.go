// Package conformance is what the conformance suites of the contracts share: named checks, the environment in which
// one of them runs, and the proof that a suite notices broken backends.
package conformance

import (
	"testing"
)

// Check is one promise of a contract. C are the capabilities that a backend claims, H is what its tests tell the
// suite, and E is what the check works with.
type Check[C, H, E any] struct {
	Name  string
	Needs func(C, H) bool // nil: every backend
	Alone bool            // not beside other checks
	Run   func(E)
}

// Suite is the checks of one contract.
type Suite[C, H, E any] struct {
	Checks []Check[C, H, E]
	// Fill returns the harness with its defaults, or fails the test where it lacks what it must have.
	Fill func(testing.TB, H) H
	// Capabilities asks a backend.
	Capabilities func(testing.TB, H) C
	// Env makes what one check works with.
	Env func(testing.TB, H, C) E
}

// Run runs every check that the backend's capabilities call for as a sub-test: those that run alone first, then the
// others side by side.
func (s Suite[C, H, E]) Run(t *testing.T, h H) {
	t.Helper()
	h = s.Fill(t, h)
	caps := s.Capabilities(t, h)
	for _, alone := range []bool{true, false} {
		for _, c := range s.Checks {
			if c.Alone != alone || c.Needs != nil && !c.Needs(caps, h) {
				continue
			}
			t.Run(c.Name, func(t *testing.T) {
				if !c.Alone {
					t.Parallel()
				}
				c.Run(s.Env(t, h, caps))
			})
		}
	}
}

// Observe runs one check without failing t. A check that the backend's capabilities do not call for passes.
func (s Suite[C, H, E]) Observe(t testing.TB, c Check[C, H, E], h H) *Recorder {
	return Observe(t, func(t testing.TB) {
		h := s.Fill(t, h)
		caps := s.Capabilities(t, h)
		if c.Needs == nil || c.Needs(caps, h) {
			c.Run(s.Env(t, h, caps))
		}
	})
}

// Named returns the check of that name.
func (s Suite[C, H, E]) Named(t testing.TB, name string) Check[C, H, E] {
	t.Helper()
	for _, c := range s.Checks {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check is named %q", name)
	return Check[C, H, E]{}
}
