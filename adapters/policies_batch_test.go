package adapters_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware"
)

// publishOrders publishes events with these ids.
func publishOrders(t *testing.T, s *dual.Stack, ids ...string) {
	t.Helper()
	events := make([]durable.Event, len(ids))
	for i, id := range ids {
		events[i] = durable.Event{ID: id, Type: "order.created", SourceType: "order", SourceID: id}
	}
	if _, err := s.Publisher.Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
}

func TestAFileBuildsTheStackOfBatchesOnAnyBackend(t *testing.T) {
	onBackends(t, func(t *testing.T, backend string) {
		r, topic, group := prom.NewPedanticRegistry(), testenv.Name(t, "orders"), testenv.Name(t, "g")
		s := measured(t, r, backend+`
publish: { topic: `+topic+` }
topics: { `+topic+`: { partitions: 2 } }
metrics: {}
poison: {}
retry: { max_attempts: 3, initial: 1ms, max: 2ms }
dedupe: {}
concurrency: { max: 2 }
timeout: { after: 5s }
`)
		publishOrders(t, s, "1", "2", "fails", "panics", "2", "once")
		var mu sync.Mutex
		runs := map[string]int{}
		largest := 0
		h := s.Batch(group, func(ctx context.Context, ds []durable.Delivery) []error {
			mu.Lock()
			defer mu.Unlock()
			if _, ok := ctx.Deadline(); !ok {
				t.Error("the batch has no deadline")
			}
			largest = max(largest, len(ds))
			if i := slices.IndexFunc(ds, func(d durable.Delivery) bool { return d.Message.Metadata[durable.MetaID] == "panics" }); i >= 0 && len(ds) > 1 {
				panic("with others")
			}
			errs := make([]error, len(ds))
			for i, d := range ds {
				id := d.Message.Metadata[durable.MetaID]
				runs[id]++
				switch {
				case id == "panics":
					panic("alone")
				case id == "fails", id == "once" && runs[id] == 1:
					errs[i] = errors.New("no")
				}
			}
			return errs
		})
		g := s.Group(group)
		o := durable.BatchOptions{ProcessOptions: s.ProcessOf(g), Size: 10, Wait: 20 * time.Millisecond}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- durable.ProcessBatch(ctx, s.Durable, g, h, o) }()
		testenv.Await(t, time.Minute, func() bool { return o.Monitor.Stats().Total().Acked == 6 }, "all are acknowledged")
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for id, want := range map[string]int{"1": 1, "2": 1, "fails": 3, "panics": 3, "once": 2} {
			if runs[id] != want {
				t.Errorf("%s was handled %d times, want %d", id, runs[id], want)
			}
		}
		var poisoned []string
		for p, err := range (middleware.Redrive{Backend: s.Durable, Topic: topic + ".poison"}).List(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			poisoned = append(poisoned, p.ID+" "+p.Class)
		}
		slices.Sort(poisoned)
		if want := []string{"fails exhausted", "panics panic"}; !slices.Equal(poisoned, want) || largest < 2 {
			t.Errorf("poisoned %v of batches of up to %d, want %v of several", poisoned, largest, want)
		}
		name, got := s.Durable.Capabilities().Backend, series(t, r)
		for want, n := range map[string]float64{
			fmt.Sprintf("retries_total %s %s %s", name, group, topic):                   5,
			fmt.Sprintf("poisoned_events_total %s %s exhausted %s", name, group, topic): 1,
			fmt.Sprintf("dedupe_events_total %s duplicate", group):                      1,
		} {
			if got["dualstream_"+want] != n {
				t.Errorf("%s: got %v, want %v", want, got["dualstream_"+want], n)
			}
		}
	})
}
