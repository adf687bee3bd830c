// Package durabletest is the conformance suite of durable.Backend: each check states one promise of the contract.
//
//	func TestConformance(t *testing.T) {
//		durabletest.Run(t, durabletest.Harness{New: open, NewTopic: makeTopic})
//	}
package durabletest

import (
	"context"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// Harness tells the suite how to reach the backend under test.
type Harness struct {
	// New opens another handle to the same store; the suite closes it. Required.
	New func(t testing.TB) durable.Backend
	// NewTopic makes an empty topic and returns its unique name. Required.
	NewTopic func(t testing.TB, partitions int) string
	// Trim removes at least the oldest five records of every partition, so that their positions expire.
	// Optional: nil leaves the checks of expired positions out.
	Trim func(t testing.TB, topic string)
	// Foreign stores an entry that is not a message of the configured format. Optional: nil leaves its check out.
	Foreign func(t testing.TB, topic string)
	// Partitions of topics that spread over members. Defaults to 4; 1 where the backend has no partitions.
	Partitions int
	// Patience bounds a wait for what must happen. Defaults to 30 s.
	Patience time.Duration
	// Quiet is how long nothing may arrive that must not. Defaults to 200 ms.
	Quiet time.Duration
}

// Check is one promise of the contract.
type Check struct {
	Name  string
	Needs func(durable.Capabilities, Harness) bool // nil: every backend
	Alone bool                                     // not beside other checks
	Run   func(*Env)
}

// Run runs every check that the backend's Capabilities call for as a sub-test.
func Run(t *testing.T, h Harness) {
	t.Helper()
	h = h.fill(t)
	caps := capabilities(t, h)
	for _, alone := range []bool{true, false} {
		for _, c := range Checks() {
			if c.Alone != alone || c.Needs != nil && !c.Needs(caps, h) {
				continue
			}
			t.Run(c.Name, func(t *testing.T) {
				if !c.Alone {
					t.Parallel()
				}
				c.Run(newEnv(t, h, caps))
			})
		}
	}
}

// Checks is the list of all checks.
func Checks() []Check {
	var out []Check
	for _, part := range [][]Check{appendChecks(), consumeChecks(), handOverChecks(), replayChecks(), limitChecks(), closeChecks()} {
		out = append(out, part...)
	}
	return out
}

func (h Harness) fill(t testing.TB) Harness {
	t.Helper()
	if h.New == nil || h.NewTopic == nil {
		t.Fatal("durabletest: Harness.New and Harness.NewTopic are required")
	}
	if h.Patience == 0 {
		h.Patience = 30 * time.Second
	}
	if h.Quiet == 0 {
		h.Quiet = 200 * time.Millisecond
	}
	return h
}

// capabilities asks a handle that is closed at once.
func capabilities(t testing.TB, h Harness) durable.Capabilities {
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

func groups(c durable.Capabilities, _ Harness) bool  { return c.Groups }
func replays(c durable.Capabilities, _ Harness) bool { return c.Replay }
