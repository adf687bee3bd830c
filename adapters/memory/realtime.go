package memory

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/dualstream/dualstream/realtime"
)

// RealtimeConfig configures an embedded real-time bus. The zero value is usable.
type RealtimeConfig struct {
	// Buffer is how many notifications a slow subscription holds before the oldest is dropped and a gap told.
	// Defaults to realtime.DefaultInbox (1024).
	Buffer int
}

// Realtime is an embedded real-time bus: it broadcasts to the subscriptions of its own process. Safe for concurrent
// use. It starts no goroutine.
type Realtime struct {
	buffer int

	mu     sync.Mutex // guards what follows and the channels of every subscription; taken before an inbox's lock
	closed bool
	subs   map[*subscription]struct{}
}

var (
	_ realtime.Backend       = (*Realtime)(nil)
	_ realtime.HealthChecker = (*Realtime)(nil)
)

// NewRealtime returns an empty bus. A negative Buffer is a *realtime.InvalidError.
func NewRealtime(c RealtimeConfig) (*Realtime, error) {
	if c.Buffer < 0 {
		return nil, &realtime.InvalidError{Field: "Buffer", Value: "negative", Remedy: "use 0 for the default, or a positive number"}
	}
	return &Realtime{buffer: c.Buffer, subs: make(map[*subscription]struct{})}, nil
}

// Notify implements realtime.Backend. It never blocks: a subscription that is too slow gets a gap.
func (r *Realtime) Notify(ctx context.Context, ns ...realtime.Notification) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := realtime.CheckNotify(ns); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return realtime.ErrClosed
	}
	for i := range ns {
		for s := range r.subs {
			if s.selects(ns[i].Channel) {
				s.inbox.Put(ns[i])
			}
		}
	}
	return nil
}

// Subscribe implements realtime.Backend.
func (r *Realtime) Subscribe(ctx context.Context, channels ...string) (realtime.Subscription, error) {
	if err := r.check(ctx, channels); err != nil {
		return nil, err
	}
	s := &subscription{bus: r, inbox: realtime.NewInbox(r.buffer), exact: make(map[string]struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, realtime.ErrClosed
	}
	s.add(channels)
	r.subs[s] = struct{}{}
	return s, nil
}

func (r *Realtime) check(ctx context.Context, channels []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return realtime.CheckSubscribe(r.Capabilities(), channels)
}

// Capabilities implements realtime.Backend.
func (r *Realtime) Capabilities() realtime.Capabilities {
	return realtime.Capabilities{Backend: "memory", Patterns: true, MaxNotification: realtime.MaxSize}
}

// Health implements realtime.HealthChecker: it fails after Close only.
func (r *Realtime) Health(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return realtime.ErrClosed
	}
	return nil
}

// Gap tells every subscription that it may have missed notifications: for an adapter that hands out by a Realtime what
// it receives. It never blocks; after Close it does nothing.
func (r *Realtime) Gap(reason realtime.GapReason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.subs {
		s.inbox.Gap(reason)
	}
}

// Close implements realtime.Backend: it ends every subscription.
func (r *Realtime) Close(context.Context) error {
	r.mu.Lock()
	r.closed = true
	subs := slices.Collect(maps.Keys(r.subs))
	clear(r.subs)
	r.mu.Unlock()
	for _, s := range subs {
		s.inbox.Close()
	}
	return nil
}

// subscription is one listener of the bus. Its channels are guarded by the bus's mutex.
type subscription struct {
	bus      *Realtime
	inbox    *realtime.Inbox
	exact    map[string]struct{}
	patterns []string
	closed   bool
}

func (s *subscription) selects(channel string) bool {
	if _, ok := s.exact[channel]; ok {
		return true
	}
	return slices.ContainsFunc(s.patterns, func(p string) bool { return realtime.Selects(p, channel) })
}

func (s *subscription) add(channels []string) {
	for _, c := range channels {
		if !realtime.IsPattern(c) {
			s.exact[c] = struct{}{}
			continue
		}
		if !slices.Contains(s.patterns, c) {
			s.patterns = append(s.patterns, c)
		}
	}
}

// Next implements realtime.Subscription.
func (s *subscription) Next(ctx context.Context) (realtime.Signal, error) { return s.inbox.Next(ctx) }

// Add implements realtime.Subscription.
func (s *subscription) Add(ctx context.Context, channels ...string) error {
	return s.change(ctx, channels, s.add)
}

// Remove implements realtime.Subscription.
func (s *subscription) Remove(ctx context.Context, channels ...string) error {
	return s.change(ctx, channels, func(channels []string) {
		for _, c := range channels {
			delete(s.exact, c)
		}
		s.patterns = slices.DeleteFunc(s.patterns, func(p string) bool { return slices.Contains(channels, p) })
	})
}

func (s *subscription) change(ctx context.Context, channels []string, apply func([]string)) error {
	if err := s.bus.check(ctx, channels); err != nil {
		return err
	}
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	if s.closed || s.bus.closed {
		return realtime.ErrClosed
	}
	apply(channels)
	return nil
}

// Close implements realtime.Subscription.
func (s *subscription) Close() error {
	s.bus.mu.Lock()
	s.closed = true
	delete(s.bus.subs, s)
	s.bus.mu.Unlock()
	s.inbox.Close()
	return nil
}
