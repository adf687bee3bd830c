// Package durabletest is the conformance suite of durable.Backend: each check states one promise of the contract.
//
//	func TestConformance(t *testing.T) {
//		durabletest.Run(t, durabletest.Harness{New: open, NewTopic: makeTopic})
//	}
package durabletest

import (
	"slices"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/conformance"
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

// check is one promise of the contract.
type check = conformance.Check[abilities, Harness, *env]

// Run runs every check that the backend's Capabilities call for as a sub-test.
func Run(t *testing.T, h Harness) {
	t.Helper()
	suite().Run(t, h)
}

func suite() conformance.Suite[abilities, Harness, *env] {
	return conformance.Suite[abilities, Harness, *env]{
		Checks: slices.Concat(appendChecks(), consumeChecks(), startChecks(), topicChecks(), memberChecks(), handOverChecks(),
			replayChecks(), rangeChecks(), limitChecks(), adminChecks(), groupChecks(), trimChecks(), pauseChecks(),
			closeChecks()),
		Fill: fill, Capabilities: abilitiesOf, Env: newEnv,
	}
}

func fill(t testing.TB, h Harness) Harness {
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
