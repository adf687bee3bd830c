package adapters_test

import (
	"testing"
	"time"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestADedupeStoreThatIsDownMakesUnreadyUnlessEventsGoOnWithoutIt(t *testing.T) {
	for failOpen, want := range map[string]bool{"false": false, "true": true} {
		r := testenv.StartRedis(t, testenv.RedisOptions{Proxied: true})
		s := opened(t, "durable: { backend: memory }\ndedupe: { store: redis, fail_open: "+failOpen+", redis: { addr: '"+r.Addr()+"' } }\n")
		h, err := dual.NewHealth(dual.HealthOptions{Fresh: time.Nanosecond, Bound: time.Minute, Logger: silent}, s.HealthChecks()...)
		if err != nil {
			t.Fatal(err)
		}
		var report dual.HealthReport
		testenv.Await(t, time.Minute, func() bool {
			report = h.Ready(t.Context())
			last := report.Parts[len(report.Parts)-1]
			return report.OK && last.Name == "policy dedupe" && last.State == "ok"
		}, "ready before, with a part of the policy")
		r.Proxy().Cut()
		testenv.Await(t, time.Minute, func() bool {
			report = h.Ready(t.Context())
			for _, p := range report.Parts {
				if p.State != "ok" {
					return true
				}
			}
			return false
		}, "the store is seen to be down")
		if report.OK != want {
			t.Errorf("fail_open %s: got %+v, want ready %t", failOpen, report, want)
		}
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
