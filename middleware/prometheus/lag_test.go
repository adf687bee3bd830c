package prometheus_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware/prometheus"
)

func TestAScrapeWaitsForTheLagOfAllGroupsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, r := newMetrics(t, prometheus.Options{LagTimeout: 2 * time.Second})
		b := &slowLag{Backend: newMemory(t)}
		b.hang.Store(true)
		for _, group := range []string{"a", "b", "c", "d", "e"} {
			m.Consumer(b, durable.Group{Name: group, Topics: durable.Topics("orders")}, nil)
		}
		begin := time.Now()
		gathered(t, r)
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("with a broker that does not answer the scrape took %s, want 2s", took)
		}
		synctest.Wait()
	})
}
