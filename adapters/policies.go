package adapters

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/adapters/redisdedupe"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// The places of the policies: those of middleware.Stack. A program that adds its own may stand between them.
const (
	PlaceMetrics     = 10
	PlaceTracing     = 20
	PlaceRedriven    = 25
	PlaceFilter      = 27
	PlacePoison      = 30
	PlaceTiers       = 40
	PlaceRetry       = 50
	PlaceLogging     = 55
	PlaceDedupe      = 60
	PlaceBreaker     = 70
	PlaceConcurrency = 80
	PlaceRateLimit   = 90
	PlaceTimeout     = 100
	PlaceRecover     = 110
)

// policies are the openers of the policies of package middleware. Metrics (middleware/prometheus.Opener) and tracing
// (middleware/otel.Opener) are added by programs that use them.
func policies() map[string]dual.MiddlewareOpener {
	always := func(o dual.MiddlewareOpener) dual.MiddlewareOpener { o.Always = true; return o }
	return map[string]dual.MiddlewareOpener{
		"redriven":    always(dual.MiddlewareOf(PlaceRedriven, nothing{}, openRedriven)),
		"filter":      dual.MiddlewareOf(PlaceFilter, FilterSettings{}, openFilter),
		"poison":      dual.MiddlewareOf(PlacePoison, poisonDefaults(), openPoison),
		"tiers":       dual.MiddlewareOf(PlaceTiers, TiersSettings{Delays: middleware.DefaultDelays()}, openTiers),
		"retry":       dual.MiddlewareOf(PlaceRetry, retryDefaults(), openRetry),
		"logging":     dual.MiddlewareOf(PlaceLogging, loggingDefaults(), openLogging),
		"dedupe":      dual.MiddlewareOf(PlaceDedupe, dedupeDefaults(), openDedupe),
		"breaker":     dual.MiddlewareOf(PlaceBreaker, breakerDefaults(), openBreaker),
		"concurrency": dual.MiddlewareOf(PlaceConcurrency, ConcurrencySettings{}, openConcurrency),
		"rate_limit":  dual.MiddlewareOf(PlaceRateLimit, RateLimitSettings{PerSecond: middleware.DefaultPerSecond, Burst: 1}, openRateLimit),
		"timeout":     dual.MiddlewareOf(PlaceTimeout, TimeoutSettings{After: middleware.DefaultTimeout}, openTimeout),
		"recover":     always(dual.MiddlewareOf(PlaceRecover, nothing{}, openRecover)),
	}
}

// nothing is the settings of a policy that has none.
type nothing struct{}

// FilterSettings are the keys of the section filter; see middleware.Filter. They are for every group of the process.
type FilterSettings struct {
	Types    []string `yaml:"types" zero:"none by name" doc:"of events that are handled; the others are acknowledged" example:"[order.created]"`
	Patterns []string `yaml:"patterns" zero:"none by pattern" doc:"of types that are handled; * stands for any text" example:"[order.*]"`
}

// Check returns a *durable.InvalidError that names a key.
func (s FilterSettings) Check() error {
	if len(s.Types) == 0 && len(s.Patterns) == 0 {
		return durable.Invalid("types", "", "name the types of events that are handled, or write patterns")
	}
	return nil
}

func openFilter(_ context.Context, s FilterSettings, _ dual.MiddlewareDeps) (dual.Middleware, error) {
	return ofGroups(func(string) *middleware.Filter {
		return &middleware.Filter{Types: s.Types, Patterns: s.Patterns}
	}), nil
}

// RetrySettings are the keys of the section retry; see middleware.Retry.
type RetrySettings struct {
	MaxAttempts int           `yaml:"max_attempts" min:"1" unit:"attempts" doc:"of the handler, the first included" example:"3"`
	Initial     time.Duration `yaml:"initial" doc:"bound on the delay after the first attempt; it doubles with each" example:"50ms"`
	Max         time.Duration `yaml:"max" zero:"10s, or initial where that is longer" doc:"bound on every delay" example:"1m"`
	MaxElapsed  time.Duration `yaml:"max_elapsed" zero:"no bound" doc:"from the first failure to the beginning of the last attempt" example:"10m"`
	Publish     bool          `yaml:"publish" doc:"publishing is retried, too" example:"false"`
	Announce    bool          `yaml:"announce" doc:"announcing is retried, too, within the second that an announcement may take: who listens may be told twice" example:"true"`
}

// Check returns a *durable.InvalidError that names a key.
func (s RetrySettings) Check() error {
	if err := settings.NotNegative("max_attempts", int64(s.MaxAttempts)); err != nil {
		return err
	}
	if s.policy().Validate() != nil {
		return durable.Invalid("max", s.Max.String(), "write at least initial, which is 100ms by default")
	}
	return nil
}

func (s RetrySettings) policy() middleware.Retry {
	return middleware.Retry{MaxAttempts: s.MaxAttempts, Initial: s.Initial, Max: s.Max, MaxElapsed: s.MaxElapsed}
}

func openRetry(_ context.Context, s RetrySettings, deps dual.MiddlewareDeps) (dual.Middleware, error) {
	m := dual.Middleware{Handler: newByGroup(func(group string) middleware.Retry {
		r := s.policy()
		r.OnRetry = told(deps, group, func(o retryObserver) func(middleware.RetryEvent) { return o.OnRetry })
		return r
	}).handler}
	if s.Publish {
		m.Append = s.policy().Append
	}
	if s.Announce {
		m.Notify = s.policy().Notify
	}
	return m, nil
}

// PoisonSettings are the keys of the section poison; see middleware.Poison.
type PoisonSettings struct {
	Topic        string        `yaml:"topic" zero:"that of the event and .poison" doc:"one for all topics" example:"poison"`
	After        string        `yaml:"after" oneof:"continue,park_key,stop" doc:"what follows a poisoned event: the next, nothing of its key, or nothing" example:"park_key"`
	PauseAfter   int           `yaml:"pause_after" min:"1" unit:"events" zero:"never" doc:"poisoned in a row, after which handling pauses" example:"20"`
	ProbeEvery   time.Duration `yaml:"probe_every" doc:"while paused, one event is tried" example:"30s"`
	WriteTimeout time.Duration `yaml:"write_timeout" doc:"bound on one write to the poison topic" example:"5s"`
	KeepRejected bool          `yaml:"keep_rejected" doc:"what the broker rejects at publishing is kept, too" example:"true"`
}

// Check returns a *durable.InvalidError that names a key.
func (s PoisonSettings) Check() error {
	if _, ok := s.after(); !ok {
		return durable.Invalid("after", s.After, "write continue, park_key or stop")
	}
	if s.Topic != "" && durable.CheckTopic(s.Topic) != nil {
		return durable.Invalid("topic", s.Topic, "write the name of a topic, or remove the key for {topic}.poison")
	}
	return settings.NotNegative("pause_after", int64(s.PauseAfter))
}

func (s PoisonSettings) after() (middleware.AfterPoison, bool) {
	switch s.After {
	case "continue":
		return middleware.Continue, true
	case "park_key":
		return middleware.ParkKey, true
	case "stop":
		return middleware.Stop, true
	default:
		return 0, false
	}
}

// openPoison makes a Poison for each group, because each has a pause of its own, and one for publishing.
func openPoison(_ context.Context, s PoisonSettings, deps dual.MiddlewareDeps) (dual.Middleware, error) {
	after, _ := s.after()
	groups := newByGroup(func(group string) *middleware.Poison {
		p := &middleware.Poison{
			Backend: deps.Durable, Group: group, After: after, PauseAfter: s.PauseAfter, ProbeEvery: s.ProbeEvery,
			WriteTimeout: s.WriteTimeout, Logger: deps.Logger,
		}
		if s.Topic != "" {
			p.TopicOf = func(string) string { return s.Topic }
		}
		if group != "" {
			p.OnPoison = told(deps, group, func(o poisonObserver) func(middleware.PoisonEvent) { return o.OnPoison })
		}
		return p
	})
	m := dual.Middleware{Handler: groups.handler, Health: groups.health}
	if s.KeepRejected {
		m.Append = groups.of("").Append
	}
	return m, nil
}

// TiersSettings are the keys of the section tiers; see middleware.Tiers.
type TiersSettings struct {
	Delays    []time.Duration `yaml:"delays" doc:"of the tiers; they grow" example:"[5s, 1m, 10m]"`
	KeepOrder bool            `yaml:"keep_order" doc:"events wait in front of their key instead of moving to a tier" example:"true"`
}

// Check returns a *durable.InvalidError that names a key.
func (s TiersSettings) Check() error {
	if (&middleware.Tiers{Delays: s.Delays, KeepOrder: true}).Validate() != nil {
		return durable.Invalid("delays", fmt.Sprint(s.Delays), "write positive delays that grow, such as [5s, 1m, 10m]")
	}
	return nil
}

func openTiers(_ context.Context, s TiersSettings, deps dual.MiddlewareDeps) (dual.Middleware, error) {
	groups := newByGroup(func(group string) *middleware.Tiers {
		return &middleware.Tiers{Backend: deps.Durable, Group: group, Delays: s.Delays, KeepOrder: s.KeepOrder, Logger: deps.Logger}
	})
	return dual.Middleware{Handler: groups.handler, Health: groups.health, Topics: groups.of("").Topics}, nil
}

// DedupeSettings are the keys of the section dedupe; see middleware.Dedupe.
type DedupeSettings struct {
	Store    string               `yaml:"store" oneof:"memory,redis" doc:"where handled events are remembered" example:"redis"`
	Redis    redisdedupe.Settings `yaml:"redis"`
	Lease    time.Duration        `yaml:"lease" min:"1ms" doc:"of an event that is being handled" example:"1m"`
	Keep     time.Duration        `yaml:"keep" min:"1ms" doc:"how long a handled event is remembered" example:"168h"`
	FailOpen bool                 `yaml:"fail_open" doc:"events are handled while the store is down, perhaps twice" example:"true"`
}

// Check returns a *durable.InvalidError that names a key.
func (s DedupeSettings) Check() error {
	if s.Store != "memory" && s.Store != "redis" {
		return durable.Invalid("store", s.Store, "write memory or redis")
	}
	if s.Store == "redis" {
		if err := s.Redis.Check(); err != nil {
			return within("redis", err)
		}
	}
	for key, d := range map[string]time.Duration{"lease": s.Lease, "keep": s.Keep} {
		if d > 0 && d < time.Millisecond {
			return durable.Invalid(key, d.String(), "write at least 1ms")
		}
	}
	return nil
}

// within has the setting that err names stand in the section part.
func within(part string, err error) error {
	var bad *durable.InvalidError
	if !errors.As(err, &bad) {
		return err
	}
	return &durable.InvalidError{Field: part + "." + bad.Field, Value: bad.Value, Remedy: bad.Remedy}
}

func openDedupe(ctx context.Context, s DedupeSettings, deps dual.MiddlewareDeps) (dual.Middleware, error) {
	var m dual.Middleware
	var store middleware.DedupeStore = middleware.NewMemoryDedupe(0)
	if s.Store == "redis" {
		cfg, err := s.Redis.Config()
		if err != nil {
			return m, blamed(err)
		}
		redis, err := redisdedupe.Open(ctx, cfg)
		if err != nil {
			return m, &dual.SettingError{Setting: "redis.addr", Err: err}
		}
		store, m.Health, m.Close = redis, redis.Health, redis.Close
	}
	down := middleware.FailClosed
	if s.FailOpen {
		down = middleware.FailOpen
		if health := m.Health; health != nil {
			m.Health = func(ctx context.Context) error { return dual.Degraded(health(ctx)) } // events go on without it
		}
	}
	perGroup := ofGroups(func(group string) *middleware.Dedupe {
		d := &middleware.Dedupe{Group: group, Store: store, Lease: s.Lease, Keep: s.Keep, StoreDown: down, Logger: deps.Logger}
		if watch := told(deps, group, func(o dedupeObserver) func(*middleware.Dedupe) { return o.ObserveDedupe }); watch != nil {
			watch(d)
		}
		return d
	})
	m.Handler, m.Batch = perGroup.Handler, perGroup.Batch
	return m, nil
}

func openRedriven(context.Context, nothing, dual.MiddlewareDeps) (dual.Middleware, error) {
	return dual.Middleware{Handler: func(group string) message.HandlerMiddleware {
		return middleware.Redriven{Group: group}.Middleware
	}}, nil
}

func openRecover(_ context.Context, _ nothing, deps dual.MiddlewareDeps) (dual.Middleware, error) {
	return shared(middleware.Recover{Logger: deps.Logger}), nil
}
