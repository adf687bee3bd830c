package realtime

import (
	"context"
	"slices"
)

// watermillSubscription picks from what its backend reads. Its channels are guarded by the backend's mutex.
type watermillSubscription struct {
	b        *watermillBackend
	inbox    *Inbox
	exact    map[string]struct{}
	patterns []string
	closed   bool
}

// Subscribe implements Backend.
func (b *watermillBackend) Subscribe(ctx context.Context, channels ...string) (Subscription, error) {
	if err := CheckSubscribe(b.Capabilities(), channels); err != nil {
		return nil, err
	}
	s := &watermillSubscription{b: b, inbox: NewInbox(b.w.Buffer), exact: map[string]struct{}{}}
	err := b.settle(ctx, func() {
		s.add(channels)
		b.subs[s] = struct{}{}
	})
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// selects tells whether s is subscribed to channel. The caller holds the backend's mutex.
func (s *watermillSubscription) selects(channel string) bool {
	if _, ok := s.exact[channel]; ok {
		return true
	}
	return slices.ContainsFunc(s.patterns, func(p string) bool { return Selects(p, channel) })
}

// add subscribes to more channels. The caller holds the backend's mutex.
func (s *watermillSubscription) add(channels []string) {
	for _, c := range channels {
		switch {
		case !IsPattern(c):
			s.exact[c] = struct{}{}
		case !slices.Contains(s.patterns, c):
			s.patterns = append(s.patterns, c)
		}
	}
}

// Next implements Subscription.
func (s *watermillSubscription) Next(ctx context.Context) (Signal, error) { return s.inbox.Next(ctx) }

// Add implements Subscription.
func (s *watermillSubscription) Add(ctx context.Context, channels ...string) error {
	if err := CheckSubscribe(s.b.Capabilities(), channels); err != nil {
		return err
	}
	if s.isClosed() {
		return ErrClosed
	}
	return s.b.settle(ctx, func() { s.add(channels) })
}

// Remove implements Subscription.
func (s *watermillSubscription) Remove(ctx context.Context, channels ...string) error {
	if err := CheckSubscribe(s.b.Capabilities(), channels); err != nil {
		return err
	}
	if s.isClosed() {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	for _, c := range channels {
		delete(s.exact, c)
	}
	s.patterns = slices.DeleteFunc(s.patterns, func(p string) bool { return slices.Contains(channels, p) })
	return nil
}

func (s *watermillSubscription) isClosed() bool {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return s.closed || s.b.closed
}

// Close implements Subscription.
func (s *watermillSubscription) Close() error {
	s.b.mu.Lock()
	s.closed = true
	delete(s.b.subs, s)
	s.b.mu.Unlock()
	s.inbox.Close()
	return nil
}
