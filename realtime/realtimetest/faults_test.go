package realtimetest

import (
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/realtime"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func soak() bool { return os.Getenv("DUALSTREAM_SOAK") == "1" }

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

func TestTheCorrectBackendPassesEveryObservedCheck(t *testing.T) {
	runs := 3
	if soak() {
		runs = 20
	}
	for _, c := range Checks() {
		for i := range runs {
			r := observe(t, c, Harness{New: func(t testing.TB) realtime.Backend { return &backend{Backend: newMemory(t)} }, Quiet: 20 * time.Millisecond})
			if r.Failed() {
				t.Fatalf("run %d of %s: %s", i, c.Name, r)
			}
		}
	}
}

func TestEveryFaultIsCaughtByTheCheckOfItsPromise(t *testing.T) {
	runs := 3
	if soak() {
		runs = 20
	}
	for _, f := range faults() {
		t.Run(strings.ReplaceAll(f.name, " ", "_"), func(t *testing.T) {
			c := checkNamed(t, f.check)
			for i := range runs {
				r := observe(t, c, Harness{
					New:      func(testing.TB) realtime.Backend { return f.wrap(t, newMemory(t)) },
					Patience: 200 * time.Millisecond, Quiet: 20 * time.Millisecond,
				})
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
