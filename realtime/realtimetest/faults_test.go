package realtimetest

import (
	"slices"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/internal/conformance"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/realtime"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func newMemory(t testing.TB) realtime.Backend {
	b, err := memory.NewRealtime(memory.RealtimeConfig{})
	if err != nil {
		t.Fatalf("NewRealtime: got %v, want nil", err)
	}
	return b
}

func TestTheEmbeddedBusConforms(t *testing.T) {
	Run(t, Harness{New: newMemory})
}

func TestTheCorrectBackendPassesEveryCheck(t *testing.T) {
	suite().Passes(t, func(testing.TB) Harness {
		return Harness{New: func(t testing.TB) realtime.Backend { return &backend{Backend: newMemory(t)} }, Quiet: 20 * time.Millisecond}
	})
}

func TestEveryFaultIsCaughtByTheCheckOfItsPromise(t *testing.T) {
	var faults []conformance.Fault[Harness]
	for _, f := range slices.Concat(notifyFaults(), subscriptionFaults(), closeFaults()) {
		faults = append(faults, conformance.Fault[Harness]{Name: f.name, Check: f.check, Harness: func(t testing.TB) Harness {
			return Harness{
				New:      func(testing.TB) realtime.Backend { return f.wrap(t, newMemory(t)) },
				Patience: 200 * time.Millisecond, Quiet: 20 * time.Millisecond,
			}
		}})
	}
	if len(faults) < 20 {
		t.Fatalf("got %d faults, want at least 20", len(faults))
	}
	suite().Catches(t, append(faults, hiddenBreak()))
}
