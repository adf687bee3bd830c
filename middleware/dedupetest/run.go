// Package dedupetest is the conformance suite of middleware.DedupeStore: each check states one promise of the contract.
//
//	func TestConformance(t *testing.T) {
//		dedupetest.Run(t, func(t testing.TB) middleware.DedupeStore { return open(t) })
//	}
package dedupetest

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dualstream/dualstream/middleware"
)

const (
	long     = time.Minute            // a time that does not end within a check
	short    = 150 * time.Millisecond // one that does
	patience = 20 * time.Second
)

// Check is one promise of the contract.
type Check struct {
	Name string
	Run  func(*Env)
}

// Run runs every check as a sub-test. open returns a store that lives as long as its argument; checks use keys of their
// own, so that stores may share what is behind them.
func Run(t *testing.T, open func(t testing.TB) middleware.DedupeStore) {
	t.Helper()
	for _, c := range Checks() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			c.Run(&Env{TB: t, store: open(t), prefix: t.Name() + time.Now().Format(time.RFC3339Nano) + "/"})
		})
	}
}

// Env is what a check works with.
type Env struct {
	testing.TB
	store  middleware.DedupeStore
	prefix string
	tokens atomic.Uint64
}

func (e *Env) key(name string) string { return e.prefix + name }

func (e *Env) token() uint64 { return e.tokens.Add(1) }

func (e *Env) context() context.Context {
	ctx, cancel := context.WithTimeout(e.Context(), patience)
	e.Cleanup(cancel)
	return ctx
}

// reserve returns the states of the keys, all asked for under token in one batch.
func (e *Env) reserve(token uint64, lease time.Duration, keys ...string) []middleware.DedupeState {
	e.Helper()
	rs := make([]middleware.Reservation, len(keys))
	for i, k := range keys {
		rs[i] = middleware.Reservation{Key: e.key(k), Token: token, Lease: lease}
	}
	if err := e.store.Reserve(e.context(), rs); err != nil {
		e.Fatalf("Reserve: got %v, want nil", err)
	}
	states := make([]middleware.DedupeState, len(rs))
	for i, r := range rs {
		states[i] = r.State
	}
	return states
}

func (e *Env) settle(token uint64, keep time.Duration, keys ...string) {
	e.Helper()
	ss := make([]middleware.Settlement, len(keys))
	for i, k := range keys {
		ss[i] = middleware.Settlement{Key: e.key(k), Token: token, Keep: keep}
	}
	if err := e.store.Settle(e.context(), ss); err != nil {
		e.Fatalf("Settle: got %v, want nil", err)
	}
}

// want fails the check unless the keys are in these states for a new token.
func (e *Env) want(what string, got []middleware.DedupeState, want ...middleware.DedupeState) {
	e.Helper()
	if !slices.Equal(got, want) {
		e.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

// await asks for key under a new token until it is reserved.
func (e *Env) await(what, key string) {
	e.Helper()
	e.awaitWith(e.token(), what, key)
}

// awaitWith reserves key with token as soon as it is free.
func (e *Env) awaitWith(token uint64, what, key string) {
	e.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	ctx := e.context()
	for e.reserve(token, long, key)[0] != middleware.DedupeReserved {
		select {
		case <-tick.C:
		case <-ctx.Done():
			e.Fatalf("%s: %q is not free after %s", what, key, patience)
		}
	}
}
