package dual

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// Defaults of HealthOptions.
const (
	DefaultHealthBound = 2 * time.Second
	DefaultHealthFresh = time.Second
)

// HealthCheck is one part of Health.
type HealthCheck struct {
	// Name says what is looked at, such as "durable kafka"; required, and each once.
	Name string
	// Check returns nil, or the reason in words. It may be slow or hang: then the part has failed. It is never called
	// again before it has returned. An error by [Degraded] is shown and leaves the process ready.
	Check func(ctx context.Context) error
	// Optional says that the process does its work without this part: its failure is degraded, not failed.
	Optional bool
	// Live says that a failure makes the process not live too: for what only a restart heals.
	Live bool
}

// HealthOptions configure Health. The zero value takes the defaults; negative values are refused.
type HealthOptions struct {
	// Bound is how long Live and Ready take at most. Defaults to 2 s.
	Bound time.Duration
	// Fresh is how long the result of a check is used again, so that many probes cost as much as one. Defaults to 1 s.
	Fresh time.Duration
	// Logger is told when the process becomes ready and when it stops being so, as the probes see it. Defaults to
	// slog.Default().
	Logger *slog.Logger
}

// Health tells whether a process is live and ready, part by part, with the reason in words. The checks of a probe run
// side by side, and probes at the same time share them. All methods are safe for concurrent use.
type Health struct {
	o HealthOptions

	mu     sync.Mutex
	parts  []*healthPart
	closed bool
	ready  healthState // of the last probe; "" before the first
	work   sync.WaitGroup
	ctx    context.Context // of checks; ends with Close
	cancel context.CancelFunc
}

// healthState is ok, degraded or failed.
type healthState string

const (
	healthOK       healthState = "ok"
	healthDegraded healthState = "degraded"
	healthFailed   healthState = "failed"
)

// HealthReport is what a probe found.
type HealthReport struct {
	OK    bool         `json:"ok"` // no part has failed
	Parts []HealthPart `json:"parts"`
}

// HealthPart is what a probe found out about one part.
type HealthPart struct {
	Name   string    `json:"name"`
	State  string    `json:"state"`            // "ok", "degraded" or "failed"
	Reason string    `json:"reason,omitempty"` // in words, where State is not "ok"
	At     time.Time `json:"at,omitzero"`      // when it was found out; zero where the check has never returned
}

// degraded is an error that leaves a process ready.
type degraded struct{ err error }

func (e *degraded) Error() string { return e.err.Error() }
func (e *degraded) Unwrap() error { return e.err }

// Degraded marks err, the result of a check, as one to be shown that leaves the process ready. A nil err stays nil.
func Degraded(err error) error {
	if err == nil {
		return nil
	}
	return &degraded{err: err}
}

// NewHealth returns a Health of checks, to be closed after use. The error is an *InvalidError.
func NewHealth(o HealthOptions, checks ...HealthCheck) (*Health, error) {
	if o.Bound < 0 {
		return nil, durable.Invalid("HealthOptions.Bound", o.Bound.String(), "use a positive value, or 0 for the default")
	}
	if o.Fresh < 0 {
		return nil, durable.Invalid("HealthOptions.Fresh", o.Fresh.String(), "use a positive value, or 0 for the default")
	}
	if o.Bound == 0 {
		o.Bound = DefaultHealthBound
	}
	if o.Fresh == 0 {
		o.Fresh = DefaultHealthFresh
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	h := &Health{o: o}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h, h.Add(checks...)
}

// Add adds checks, also while probes run. The error is an *InvalidError, and then none was added.
func (h *Health) Add(checks ...HealthCheck) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := make(map[string]bool, len(h.parts)+len(checks))
	for _, p := range h.parts {
		seen[p.Name] = true
	}
	added := make([]*healthPart, len(checks))
	for i, c := range checks {
		switch {
		case c.Name == "":
			return durable.Invalid("HealthCheck.Name", "", "name what is looked at")
		case seen[c.Name]:
			return durable.Invalid("HealthCheck.Name", c.Name, "use each name once")
		case c.Check == nil:
			return durable.Invalid("HealthCheck.Check", "nil", "pass a function")
		}
		seen[c.Name] = true
		added[i] = &healthPart{HealthCheck: c}
	}
	h.parts = append(h.parts, added...)
	return nil
}

// Live tells whether the process should go on: whether no part that only a restart heals has failed.
func (h *Health) Live(ctx context.Context) HealthReport {
	return h.probe(ctx, func(c HealthCheck) bool { return c.Live })
}

// Ready tells whether the process can do its work now: whether no part has failed. After Close it is not.
func (h *Health) Ready(ctx context.Context) HealthReport {
	r := h.probe(ctx, func(HealthCheck) bool { return true })
	if ctx.Err() == nil { // who left early has not seen it
		h.note(r)
	}
	return r
}

// Err is nil where r.OK, else the parts that failed, in words.
func (r HealthReport) Err() error {
	var errs []error
	for _, p := range r.Parts {
		if p.State == string(healthFailed) {
			errs = append(errs, errors.New(p.Name+": "+p.Reason))
		}
	}
	return errors.Join(errs...)
}

// note logs a change of readiness.
func (h *Health) note(r HealthReport) {
	state := healthOK
	if !r.OK {
		state = healthFailed
	}
	h.mu.Lock()
	before := h.ready
	h.ready = state
	h.mu.Unlock()
	switch {
	case before == state:
	case state == healthFailed:
		h.o.Logger.Warn("dual: not ready", "error", r.Err())
	case before == healthFailed:
		h.o.Logger.Info("dual: ready again")
	}
}

// Close ends the contexts of the checks that run and waits for them until ctx is done. It is idempotent.
func (h *Health) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.cancel()
	done := make(chan struct{})
	go func() {
		h.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("dual: close health: checks ignore the end of their context: " + context.Cause(ctx).Error())
	}
}
