package prometheus_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
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

func TestAGroupThatHasNotJoinedYetIsNoErrorOfTheLag(t *testing.T) {
	for name, open := range backends() {
		t.Run(name, func(t *testing.T) {
			b, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = b.Close(context.Background()) })
			topic := testenv.Name(t, "early")
			if err := b.(durable.Administrator).CreateTopic(t.Context(), durable.TopicSpec{Name: topic}); err != nil {
				t.Fatal(err)
			}
			m, r := newMetrics(t, prometheus.Options{LagTimeout: patience})
			m.Consumer(b, durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic, testenv.Name(t, "missing"))}, nil)
			if n := sum(gathered(t, r), "lag_errors_total"); n != 0 {
				t.Errorf("errors: got %v, want none", n)
			}
		})
	}
}
