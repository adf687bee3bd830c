package prometheus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/middleware/prometheus"
)

var errHandler = errors.New("handler failed")

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

func TestMain(m *testing.M) { leaktest.Main(m, testenv.Leaks()...) }

func newMetrics(t testing.TB, o prometheus.Options) (*prometheus.Metrics, *prom.Registry) {
	t.Helper()
	r := prom.NewPedanticRegistry()
	o.Registerer = r
	m, err := prometheus.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return m, r
}

func newMemory(t testing.TB) *memory.Backend {
	t.Helper()
	b, err := memory.New(memory.Config{Partitions: 4, Logger: silent})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

// events are n of them, of 20 sources.
func events(t testing.TB, n int) []*message.Message {
	t.Helper()
	msgs := make([]*message.Message, n)
	for i := range msgs {
		msg, err := durable.Event{
			ID: fmt.Sprintf("secret-id-%d", i), Type: "x", SourceType: "order", SourceID: fmt.Sprintf("secret-source-%d", i%20),
		}.Message("")
		if err != nil {
			t.Fatal(err)
		}
		msgs[i] = msg
	}
	return msgs
}

// gathered is every series by its name and labels, as text; histograms by their count. It checks what holds for all:
// the linter of Prometheus, and that labels are those that are allowed and hold no ids.
func gathered(t testing.TB, r *prom.Registry) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatalf("Gather: %v", err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatalf("Lint: %v", err)
	}
	for _, p := range problems {
		t.Errorf("promlint: %s: %s", p.Metric, p.Text)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			out[f.GetName()+labels(t, f.GetName(), m)] = value(m)
		}
	}
	return out
}

func labels(t testing.TB, name string, m *dto.Metric) string {
	var pairs []string
	for _, l := range m.GetLabel() {
		switch l.GetName() {
		case "topic", "backend", "group", "outcome":
		default:
			if strings.HasPrefix(name, "dualstream_") {
				t.Errorf("%s has the label %q", name, l.GetName())
			}
		}
		if strings.Contains(l.GetValue(), "secret") {
			t.Errorf("%s has an id as the value of the label %s: %q", name, l.GetName(), l.GetValue())
		}
		pairs = append(pairs, l.GetName()+"="+l.GetValue())
	}
	return "{" + strings.Join(pairs, ",") + "}"
}

func value(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.GetCounter().GetValue()
	case m.Gauge != nil:
		return m.GetGauge().GetValue()
	default:
		return float64(m.GetHistogram().GetSampleCount())
	}
}

// sum is that of all series of a family.
func sum(series map[string]float64, name string) float64 {
	total := 0.0
	for k, v := range series {
		if strings.HasPrefix(k, "dualstream_"+name+"{") {
			total += v
		}
	}
	return total
}

// balance checks that every delivery is somewhere.
func balance(t testing.TB, series map[string]float64) {
	t.Helper()
	in := sum(series, "received_events_total")
	out := sum(series, "acked_events_total") + sum(series, "released_events_total") + sum(series, "lost_events_total") + sum(series, "in_flight_events")
	if in != out {
		t.Errorf("received %v, acked + released + lost + in flight %v", in, out)
	}
}
