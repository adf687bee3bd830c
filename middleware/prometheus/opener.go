package prometheus

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// place is that of metrics: outside of all other policies. It is adapters.PlaceMetrics, without the adapters.
const place = 10

// Settings are the keys of the section metrics of a file; see Options. What the file does not name is as in the Options
// of the program.
type Settings struct {
	MaxTopics      int           `yaml:"max_topics" min:"1" unit:"topics" doc:"with labels of their own; further ones are other" example:"50"`
	MaxGroups      int           `yaml:"max_groups" min:"1" unit:"groups" doc:"with labels of their own; further ones are other" example:"50"`
	LagFresh       time.Duration `yaml:"lag_fresh" doc:"how long a lag that was asked for is used again" example:"10s"`
	LagTimeout     time.Duration `yaml:"lag_timeout" doc:"bound on the wait of a scrape for the lag of all groups" example:"1s"`
	WatermillNames bool          `yaml:"watermill_names" doc:"the metrics of Watermill's own components are shown, too" example:"true"`
}

// Check returns a *durable.InvalidError that names a key.
func (s Settings) Check() error {
	if s.MaxTopics < 0 {
		return durable.Invalid("max_topics", "negative", "write a number from 1, or remove the key for the default")
	}
	if s.MaxGroups < 0 {
		return durable.Invalid("max_groups", "negative", "write a number from 1, or remove the key for the default")
	}
	return nil
}

// settingsOf are the settings of an empty section.
func settingsOf(o Options) Settings {
	return Settings{
		MaxTopics: orDefault(o.MaxTopics, DefaultMaxTopics), MaxGroups: orDefault(o.MaxGroups, DefaultMaxGroups),
		LagFresh: orDefault(o.LagFresh, DefaultLagFresh), LagTimeout: orDefault(o.LagTimeout, DefaultLagTimeout),
		WatermillNames: o.Watermill != nil,
	}
}

func (s Settings) over(o Options) Options {
	o.MaxTopics, o.MaxGroups = orDefault(s.MaxTopics, o.MaxTopics), orDefault(s.MaxGroups, o.MaxGroups)
	o.LagFresh, o.LagTimeout = orDefault(s.LagFresh, o.LagFresh), orDefault(s.LagTimeout, o.LagTimeout)
	if s.WatermillNames && o.Watermill == nil {
		o.Watermill = &WatermillNames{}
	}
	return o
}

// Opener is that of the section metrics, for the openers of a program, which alone decides whether it links
// Prometheus:
//
//	openers := adapters.All()
//	openers.Middleware["metrics"] = prometheus.Opener(prometheus.Options{Registerer: registry})
//
// It shows the publisher, the dispatcher, and every group whose handlers dual.Stack wraps: their attempts, retries,
// poisoned events and decisions of Dedupe; and, where its members are processed with dual.Stack.ProcessOf, their
// deliveries and the lag. The metrics leave the registry when the stack is closed.
func Opener(o Options) dual.MiddlewareOpener {
	return dual.MiddlewareOf(place, settingsOf(o), func(_ context.Context, s Settings, deps dual.MiddlewareDeps) (dual.Middleware, error) {
		m, err := New(s.over(o))
		if err != nil {
			return dual.Middleware{}, err
		}
		unregister := sync.OnceFunc(m.unregister) // a second time it would take out those of the next stack
		f := &filed{m: m, backend: deps.Durable, groups: make(map[string]*filedGroup)}
		return dual.Middleware{
			Append: m.Append, Notify: m.Notify, Opened: f.opened, Process: f.process,
			Handler:  func(group string) message.HandlerMiddleware { return f.of(group).consumer.Middleware },
			Observer: func(group string) any { return f.of(group).consumer },
			Close:    func(context.Context) error { unregister(); return nil },
		}, nil
	})
}

// filed are the metrics of a stack that was opened from a file.
type filed struct {
	m       *Metrics
	backend durable.Backend

	mu     sync.Mutex
	groups map[string]*filedGroup
}

// filedGroup are those of one group.
type filedGroup struct {
	consumer *Consumer // of its attempts; its deliveries and lag are shown by others
	monitor  *durable.Monitor
	topics   map[string]bool // whose lag is shown
}

func (f *filed) of(group string) *filedGroup {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.group(group)
}

// group is that of the name. The caller holds mu.
func (f *filed) group(name string) *filedGroup {
	g := f.groups[name]
	if g == nil {
		monitor := new(durable.Monitor)
		g = &filedGroup{
			monitor: monitor, topics: make(map[string]bool),
			consumer: f.m.Consumer(f.backend, durable.Group{Name: name}, monitor),
		}
		f.groups[name] = g
	}
	return g
}

// process has the members of g counted, and the lag of its topics shown.
func (f *filed) process(g durable.Group, o *durable.ProcessOptions) {
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.group(g.Name)
	if o.Monitor == nil {
		o.Monitor = known.monitor
	}
	fresh := durable.Group{Name: g.Name}
	for _, t := range g.Topics {
		if !known.topics[t.Topic] {
			known.topics[t.Topic] = true
			fresh.Topics = append(fresh.Topics, t)
		}
	}
	if len(fresh.Topics) > 0 {
		f.m.Consumer(f.backend, fresh, o.Monitor)
	}
}

// opened shows the publisher of s.
func (f *filed) opened(s *dual.Stack) {
	f.m.Publisher(s.Durable.Capabilities().Backend, func() durable.PublisherStats { return s.Publisher.Stats().Store })
	if s.Realtime != nil {
		f.m.Dispatcher(s.Realtime.Capabilities().Backend, func() realtime.DispatcherStats { return s.Publisher.Stats().Bus })
	}
}
