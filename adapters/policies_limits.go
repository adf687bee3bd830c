package adapters

import (
	"context"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// BreakerSettings are the keys of the section breaker; see middleware.Breaker.
type BreakerSettings struct {
	Failures int           `yaml:"failures" min:"1" unit:"failures" doc:"in a row that open it" example:"10"`
	Open     time.Duration `yaml:"open" doc:"how long it stays open" example:"10s"`
	Probes   int           `yaml:"probes" min:"1" unit:"events" doc:"let through after that, all of which must succeed" example:"3"`
	Publish  bool          `yaml:"publish" doc:"publishing has a breaker, too: while it is open, it fails at once" example:"true"`
}

// Check returns a *durable.InvalidError that names a key.
func (s BreakerSettings) Check() error {
	return settings.First(settings.NotNegative("failures", int64(s.Failures)), settings.NotNegative("probes", int64(s.Probes)))
}

func openBreaker(_ context.Context, s BreakerSettings, deps dual.MiddlewareDeps) (dual.Middleware, error) {
	named := func(name string) *middleware.Breaker {
		return &middleware.Breaker{Name: name, Failures: s.Failures, Open: s.Open, Probes: s.Probes, Logger: deps.Logger}
	}
	m := dual.Middleware{Handler: newByGroup(named).handler}
	if s.Publish {
		m.Append = named("publisher").Append
	}
	return m, nil
}

// ConcurrencySettings are the keys of the section concurrency; see middleware.Concurrency.
type ConcurrencySettings struct {
	Max int `yaml:"max" min:"1" unit:"handlers" zero:"one for each processor" doc:"side by side over all groups of the process" example:"64"`
}

// Check returns a *durable.InvalidError that names a key.
func (s ConcurrencySettings) Check() error { return settings.NotNegative("max", int64(s.Max)) }

func openConcurrency(_ context.Context, s ConcurrencySettings, _ dual.MiddlewareDeps) (dual.Middleware, error) {
	return shared(&middleware.Concurrency{Max: s.Max}), nil
}

// RateLimitSettings are the keys of the section rate_limit; see middleware.RateLimit.
type RateLimitSettings struct {
	PerSecond float64 `yaml:"per_second" min:"0" unit:"events a second" doc:"over all groups of the process" example:"250.5"`
	Burst     int     `yaml:"burst" min:"1" unit:"events" doc:"at once after a quiet time" example:"10"`
}

// Check returns a *durable.InvalidError that names a key.
func (s RateLimitSettings) Check() error {
	if s.PerSecond < 0 {
		return durable.Invalid("per_second", "negative", "write a positive number, or remove the key")
	}
	return settings.NotNegative("burst", int64(s.Burst))
}

func openRateLimit(_ context.Context, s RateLimitSettings, _ dual.MiddlewareDeps) (dual.Middleware, error) {
	return dual.Middleware{Handler: everyGroup(&middleware.RateLimit{PerSecond: s.PerSecond, Burst: s.Burst})}, nil
}

// TimeoutSettings are the keys of the section timeout; see middleware.Timeout.
type TimeoutSettings struct {
	After time.Duration `yaml:"after" doc:"how long one attempt of the handler may take" example:"5s"`
}

func openTimeout(_ context.Context, s TimeoutSettings, _ dual.MiddlewareDeps) (dual.Middleware, error) {
	return shared(middleware.Timeout{After: s.After}), nil
}
