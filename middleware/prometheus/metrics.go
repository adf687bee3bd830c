package prometheus

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// Defaults of Options.
const (
	DefaultMaxTopics  = 100
	DefaultMaxGroups  = 100
	DefaultLagFresh   = 5 * time.Second
	DefaultLagTimeout = 2 * time.Second
)

const (
	namespace = "dualstream"
	other     = "other" // label of what is beyond the bounds
)

// Buckets are those of every duration, in seconds: 50 µs to 10 s.
func Buckets() []float64 {
	return []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

// sizes are the buckets of batches, in events.
func sizes() []float64 { return []float64{1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500} }

// Options configure Metrics. The zero value takes the defaults; negative values are refused.
type Options struct {
	// Registerer is where the metrics are registered. Defaults to Prometheus' default.
	Registerer prom.Registerer
	// MaxTopics bounds the values of the label topic; further topics are "other". Defaults to 100.
	MaxTopics int
	// MaxGroups bounds the values of the label group; further groups are "other". Defaults to 100.
	MaxGroups int
	// LagFresh is how long a lag that was asked for is used again. Defaults to 5 s.
	LagFresh time.Duration
	// LagTimeout bounds how long a scrape waits for the lag of all groups. Defaults to 2 s. A lag that does not come is left out.
	LagTimeout time.Duration
	// Watermill also shows the metrics of Watermill's own components/metrics, under its names, for dashboards that
	// exist. Defaults to none.
	Watermill *WatermillNames
}

func (o Options) filled() (Options, error) {
	for _, f := range []struct {
		name  string
		value int64
		text  string
	}{
		{"Options.MaxTopics", int64(o.MaxTopics), strconv.Itoa(o.MaxTopics)},
		{"Options.MaxGroups", int64(o.MaxGroups), strconv.Itoa(o.MaxGroups)},
		{"Options.LagFresh", int64(o.LagFresh), o.LagFresh.String()},
		{"Options.LagTimeout", int64(o.LagTimeout), o.LagTimeout.String()},
	} {
		if f.value < 0 {
			return o, durable.Invalid(f.name, f.text, "use a positive value, or 0 for the default")
		}
	}
	if o.Registerer == nil {
		o.Registerer = prom.DefaultRegisterer
	}
	o.MaxTopics = orDefault(o.MaxTopics, DefaultMaxTopics)
	o.MaxGroups = orDefault(o.MaxGroups, DefaultMaxGroups)
	o.LagFresh = orDefault(o.LagFresh, DefaultLagFresh)
	o.LagTimeout = orDefault(o.LagTimeout, DefaultLagTimeout)
	return o, nil
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// Metrics are the metrics of one program. All methods are safe for concurrent use.
type Metrics struct {
	o      Options
	hot    *hot
	topics names
	groups names

	registered []prom.Collector // what New has put into the registry

	mu      sync.Mutex
	sources []source
}

// New registers the metrics. The error is an *InvalidError, or that of the registry, such as for a second Metrics in
// one registry.
func New(o Options) (*Metrics, error) {
	o, err := o.filled()
	if err != nil {
		return nil, fmt.Errorf("prometheus: %w", err)
	}
	m := &Metrics{o: o, hot: newHot(o.Watermill)}
	m.topics.most, m.groups.most = o.MaxTopics, o.MaxGroups
	for _, c := range append(m.hot.all(), &collector{m: m}) {
		if err := o.Registerer.Register(c); err != nil {
			m.unregister()
			return nil, fmt.Errorf("prometheus: register metrics: %w", err)
		}
		m.registered = append(m.registered, c)
	}
	return m, nil
}

// unregister takes out of the registry what New has put there.
func (m *Metrics) unregister() {
	for _, c := range m.registered {
		m.o.Registerer.Unregister(c)
	}
}

// names bounds the values of a label.
type names struct {
	most int

	mu    sync.Mutex
	known map[string]bool
}

// label is name, or "other" where there are too many.
func (n *names) label(name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known[name] {
		return name
	}
	if len(n.known) >= n.most {
		return other
	}
	if n.known == nil {
		n.known = make(map[string]bool)
	}
	n.known[name] = true
	return name
}

// outcomeOf is the class of an error of Append or Notify.
func outcomeOf(err error) string { return orDefault(middleware.ErrorClass(err), "error") }
