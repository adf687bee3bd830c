package conformance

import (
	"context"
	"errors"
	"testing"
	"time"
)

// ErrStuck is what Within returns for a call that does not return.
var ErrStuck = errors.New("did not return")

// Env is a test with a bounded context.
type Env struct {
	testing.TB
	Ctx      context.Context // ends after four times the patience
	patience time.Duration
}

// NewEnv makes the environment of one check; patience bounds a wait for what must happen.
func NewEnv(t testing.TB, patience time.Duration) Env {
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	t.Cleanup(cancel)
	return Env{TB: t, Ctx: ctx, patience: patience}
}

// Soon is a context for one wait.
func (e Env) Soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.Ctx, e.patience)
}

// Within fails the test unless f returns in time, and returns its error. f runs on a goroutine of its own, so that
// one that never returns is found; a panic of f is a failure.
func (e Env) Within(what string, f func(context.Context) error) error {
	e.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), e.patience)
	defer cancel()
	type result struct {
		err   error
		panic any
	}
	done := make(chan result, 1) // the goroutine ends even if nobody waits any more
	go func() {
		var r result
		defer func() {
			r.panic = recover()
			done <- r
		}()
		r.err = f(ctx)
	}()
	grace := time.NewTimer(e.patience + e.patience/4)
	defer grace.Stop()
	select {
	case r := <-done:
		if r.panic != nil {
			e.Errorf("%s panicked: %v", what, r.panic)
		}
		return r.err
	case <-grace.C:
		e.Errorf("%s did not return within %v", what, e.patience)
		return ErrStuck
	}
}

// Do fails the test unless f returns nil in time.
func (e Env) Do(what string, f func(context.Context) error) {
	e.Helper()
	if err := e.Within(what, f); err != nil {
		e.Fatalf("%s: got %v, want nil", what, err)
	}
}
