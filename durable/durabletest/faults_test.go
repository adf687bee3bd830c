package durabletest

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func soak() bool { return os.Getenv("DUALSTREAM_SOAK") == "1" }

func checkNamed(t testing.TB, name string) Check {
	t.Helper()
	for _, c := range Checks() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check is named %q", name)
	return Check{}
}

func TestEveryFaultIsCaughtByTheCheckOfItsPromise(t *testing.T) {
	runs := 3
	if soak() {
		runs = 20
	}
	faults := append(append(appendFaults(), groupFaults()...), otherFaults()...)
	if len(faults) < 20 {
		t.Fatalf("got %d faults, want at least 20", len(faults))
	}
	for _, f := range faults {
		c := checkNamed(t, f.check)
		t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
			if !c.Alone {
				t.Parallel()
			}
			for i := range runs {
				r := observe(t, c, harness(t, f.cfg, f.wrap(t)))
				if !r.Failed() {
					t.Fatalf("run %d: %s did not notice", i, f.check)
				}
				if i == 0 {
					t.Logf("%s: %s", f.check, r)
				}
			}
		})
	}
}

func TestTheCorrectBackendPassesEveryCheck(t *testing.T) {
	runs := 3
	if soak() {
		runs = 100
	}
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) {
			if !c.Alone {
				t.Parallel()
			}
			for i := range runs {
				h := harness(t, memory.Config{}, func(b durable.Backend) durable.Backend { return b })
				h.Patience = 30 * time.Second
				if r := observe(t, c, h); r.Failed() {
					t.Fatalf("run %d: %s", i, r)
				}
			}
		})
	}
}

// untilEnd is a context that ends with the test, for faults that block.
func untilEnd(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx
}
