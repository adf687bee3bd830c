package dual

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// healthPart is a check with what is known about it. Guarded by Health.mu, but for HealthCheck.
type healthPart struct {
	HealthCheck
	begun   time.Time     // of the call that runs
	running chan struct{} // closed when it returns; nil while none runs
	at      time.Time     // when the last one returned; zero: never
	err     error         // of the last one
}

// probe runs the checks that are chosen, or uses what was found a moment ago, and returns within Bound.
func (h *Health) probe(ctx context.Context, chosen func(HealthCheck) bool) HealthReport {
	ctx, cancel := context.WithTimeout(ctx, h.o.Bound)
	defer cancel()
	parts, waits, err := h.begin(chosen)
	if err != nil {
		return HealthReport{Parts: []HealthPart{{Name: "process", State: string(healthFailed), Reason: err.Error()}}}
	}
	for _, done := range waits {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	r := HealthReport{OK: true, Parts: make([]HealthPart, len(parts))}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, p := range parts {
		r.Parts[i] = p.report()
		r.OK = r.OK && r.Parts[i].State != string(healthFailed)
	}
	return r
}

// begin starts the chosen checks that are not fresh and do not run, and returns what to wait for.
func (h *Health) begin(chosen func(HealthCheck) bool) (parts []*healthPart, waits []<-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, nil, fmt.Errorf("health: %w", durable.ErrClosed)
	}
	now := time.Now()
	for _, p := range h.parts {
		if !chosen(p.HealthCheck) {
			continue
		}
		parts = append(parts, p)
		if p.running == nil {
			if !p.at.IsZero() && now.Sub(p.at) < h.o.Fresh {
				continue
			}
			p.begun, p.running = now, make(chan struct{})
			h.work.Go(func() { h.run(p) })
		}
		waits = append(waits, p.running)
	}
	return parts, waits, nil
}

// run calls one check and notes its result.
func (h *Health) run(p *healthPart) {
	ctx, cancel := context.WithTimeout(h.ctx, h.o.Bound)
	defer cancel()
	err := p.call(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	p.at, p.err = time.Now(), err
	close(p.running)
	p.running = nil
}

// call makes a panic of the check its error.
func (p *healthPart) call(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the check panicked: %v", v)
		}
	}()
	return p.Check(ctx)
}

// report is what is known now. A check that still runs has failed: the probe has waited as long as it may. The caller
// holds Health.mu.
func (p *healthPart) report() HealthPart {
	out := HealthPart{Name: p.Name, State: string(healthOK), At: p.at}
	var shown *degraded
	failed := string(healthFailed)
	if p.Optional {
		failed = string(healthDegraded)
	}
	switch {
	case p.running != nil:
		out.State = failed
		out.Reason = fmt.Sprintf("no answer for %s", time.Since(p.begun).Round(time.Millisecond))
		if p.err != nil {
			out.Reason += ", before: " + p.err.Error()
		}
	case errors.As(p.err, &shown):
		out.State, out.Reason = string(healthDegraded), p.err.Error()
	case p.err != nil:
		out.State, out.Reason = failed, p.err.Error()
	}
	return out
}
