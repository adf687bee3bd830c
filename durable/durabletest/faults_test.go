package durabletest

import (
	"context"
	"slices"
	"testing"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/conformance"
	"github.com/dualstream/dualstream/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// fault is a backend that breaks one promise, and the check that must find it.
type fault struct {
	name  string
	check string
	cfg   memory.Config
	wrap  func(t testing.TB) func(durable.Backend) durable.Backend // called once per run
}

// plain is the wrap of a fault without state between handles.
func plain(f func(durable.Backend) durable.Backend) func(testing.TB) func(durable.Backend) durable.Backend {
	return func(testing.TB) func(durable.Backend) durable.Backend { return f }
}

func TestEveryFaultIsCaughtByTheCheckOfItsPromise(t *testing.T) {
	var faults []conformance.Fault[Harness]
	for _, f := range slices.Concat(appendFaults(), groupFaults(), startFaults(), rangeFaults(), adminFaults(), capabilityFaults(), otherFaults(), richFaults(), managedFaults(), pauseFaults()) {
		faults = append(faults, conformance.Fault[Harness]{Name: f.name, Check: f.check, Harness: func(t testing.TB) Harness {
			h := harness(t, f.cfg, f.wrap(t))
			h.Patience = impatient
			return h
		}})
	}
	if len(faults) < 20 {
		t.Fatalf("got %d faults, want at least 20", len(faults))
	}
	suite().Catches(t, faults)
}

func TestTheCorrectBackendPassesEveryCheck(t *testing.T) {
	suite().Passes(t, func(t testing.TB) Harness {
		return harness(t, memory.Config{}, func(b durable.Backend) durable.Backend { return b })
	})
}

// untilEnd is a context that ends with the test, for faults that block.
func untilEnd(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx
}
