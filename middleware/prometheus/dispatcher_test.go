package prometheus_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/middleware/prometheus"
	"github.com/dualstream/dualstream/realtime"
)

// boom panics in every Notify.
type boom struct{ realtime.Backend }

func (boom) Notify(context.Context, ...realtime.Notification) error { panic("boom") }

func TestPanicsOfTheRealtimeBackendAreCounted(t *testing.T) {
	inner, err := memory.NewRealtime(memory.RealtimeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := realtime.NewDispatcher(boom{inner}, realtime.DispatcherOptions{Batch: 1, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	m, r := newMetrics(t, prometheus.Options{})
	m.Dispatcher("memory", d.Stats)
	for i := range 2 {
		d.Dispatch(realtime.Notification{Channel: "c", ID: fmt.Sprint(i)})
		for d.Stats().Panics <= uint64(i) {
			if t.Context().Err() != nil {
				t.Fatal("the dispatcher did not count")
			}
		}
	}
	if got := gathered(t, r)["dualstream_notify_panics_total{backend=memory}"]; got != 2 {
		t.Errorf("got %v panics, want 2", got)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Errorf("Close: got %v", err)
	}
	if err := inner.Close(t.Context()); err != nil {
		t.Errorf("Close: got %v", err)
	}
}
