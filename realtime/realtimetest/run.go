// Package realtimetest is the conformance suite of realtime.Backend: each check states one promise of the contract.
//
//	func TestConformance(t *testing.T) {
//		realtimetest.Run(t, realtimetest.Harness{New: open})
//	}
package realtimetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/dualstream/dualstream/internal/conformance"
	"github.com/dualstream/dualstream/realtime"
)

// Harness tells the suite how to reach the backend under test.
type Harness struct {
	// New opens a backend; the suite closes it. Required.
	New func(t testing.TB) realtime.Backend
	// Break cuts the connections of the backend that New opened last, and lets it connect again.
	// Optional: nil leaves the checks of broken connections out. Those run alone.
	Break func(t testing.TB)
	// Flood is how many notifications are more than a subscription holds. Defaults to 3000.
	Flood int
	// Patience bounds a wait for what must happen. Defaults to 30 s.
	Patience time.Duration
	// Quiet is how long nothing may arrive that must not. Defaults to 200 ms.
	Quiet time.Duration
}

// check is one promise of the contract.
type check = conformance.Check[realtime.Capabilities, Harness, *env]

// Run runs every check that the backend's Capabilities call for as a sub-test.
func Run(t *testing.T, h Harness) {
	t.Helper()
	suite().Run(t, h)
}

func suite() conformance.Suite[realtime.Capabilities, Harness, *env] {
	return conformance.Suite[realtime.Capabilities, Harness, *env]{
		Checks: slices.Concat(notifyChecks(), subscribeChecks(), gapChecks(), closeChecks()),
		Fill:   fill, Capabilities: capabilities, Env: newEnv,
	}
}

func fill(t testing.TB, h Harness) Harness {
	t.Helper()
	if h.New == nil {
		t.Fatal("realtimetest: Harness.New is required")
	}
	if h.Flood == 0 {
		h.Flood = 3000
	}
	if h.Patience == 0 {
		h.Patience = 30 * time.Second
	}
	if h.Quiet == 0 {
		h.Quiet = 200 * time.Millisecond
	}
	return h
}

// capabilities asks a backend that is closed at once.
func capabilities(t testing.TB, h Harness) realtime.Capabilities {
	t.Helper()
	b := h.New(t)
	caps := b.Capabilities()
	ctx, cancel := context.WithTimeout(context.Background(), h.Patience)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Fatalf("Close: got %v, want nil", err)
	}
	return caps
}

func patterns(c realtime.Capabilities, _ Harness) bool   { return c.Patterns }
func noPatterns(c realtime.Capabilities, _ Harness) bool { return !c.Patterns }
func breaks(_ realtime.Capabilities, h Harness) bool     { return h.Break != nil }
