package adapters

import (
	"context"
	"errors"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

// everyGroup is a policy that all groups share.
func everyGroup(p middleware.Policy) func(string) message.HandlerMiddleware {
	return func(string) message.HandlerMiddleware { return p.Middleware }
}

// batcher is a policy with a form of its own for batches.
type batcher interface {
	middleware.Policy
	Batch(h durable.BatchHandler) durable.BatchHandler
}

// shared is a policy that all groups share, also for batches.
func shared(p batcher) dual.Middleware {
	return dual.Middleware{Handler: everyGroup(p), Batch: func(string) func(durable.BatchHandler) durable.BatchHandler { return p.Batch }}
}

// ofGroups is a policy of each group, also for batches.
func ofGroups[P batcher](make func(group string) P) dual.Middleware {
	b := newByGroup(make)
	return dual.Middleware{Handler: b.handler, Batch: func(group string) func(durable.BatchHandler) durable.BatchHandler {
		return b.of(group).Batch
	}}
}

// byGroup makes one policy for each group, once.
type byGroup[P middleware.Policy] struct {
	make func(group string) P

	mu     sync.Mutex
	groups map[string]P
}

func newByGroup[P middleware.Policy](make func(group string) P) *byGroup[P] {
	return &byGroup[P]{make: make, groups: map[string]P{}}
}

func (b *byGroup[P]) of(group string) P {
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.groups[group]
	if !ok {
		p = b.make(group)
		b.groups[group] = p
	}
	return p
}

func (b *byGroup[P]) handler(group string) message.HandlerMiddleware { return b.of(group).Middleware }

// health joins what the groups say.
func (b *byGroup[P]) health(ctx context.Context) error {
	b.mu.Lock()
	groups := make([]P, 0, len(b.groups))
	for _, p := range b.groups {
		groups = append(groups, p)
	}
	b.mu.Unlock()
	var errs []error
	for _, p := range groups {
		if h, ok := any(p).(durable.HealthChecker); ok {
			errs = append(errs, h.Health(ctx))
		}
	}
	return errors.Join(errs...)
}

// What the policies look for in an observer.
type (
	retryObserver  interface{ OnRetry(middleware.RetryEvent) }
	poisonObserver interface{ OnPoison(middleware.PoisonEvent) }
	dedupeObserver interface{ ObserveDedupe(*middleware.Dedupe) }
)

// told tells all observers of group that are an O; nil where there is none.
func told[O, E any](deps dual.MiddlewareDeps, group string, method func(O) func(E)) func(E) {
	if deps.Observers == nil {
		return nil
	}
	var all []func(E)
	for _, o := range deps.Observers(group) {
		if o, ok := o.(O); ok {
			all = append(all, method(o))
		}
	}
	if len(all) == 0 {
		return nil
	}
	return func(e E) {
		for _, f := range all {
			f(e)
		}
	}
}
