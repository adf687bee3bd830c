package realtime

import "context"

// watermillSubscription is a subscription of its backend's table, made and added to once the listener runs.
type watermillSubscription struct {
	*entry
	b *watermillBackend
}

// Subscribe implements Backend.
func (b *watermillBackend) Subscribe(ctx context.Context, channels ...string) (Subscription, error) {
	if err := b.table.check(ctx, channels); err != nil {
		return nil, err
	}
	var s *entry
	err := b.settle(ctx, func() (err error) {
		s, err = b.table.subscribe(ctx, channels)
		return err
	})
	if err == nil {
		return &watermillSubscription{s, b}, nil
	}
	if s != nil { // ctx ended at that moment
		_ = s.Close()
	}
	return nil, err
}

// Add implements Subscription.
func (s *watermillSubscription) Add(ctx context.Context, channels ...string) error {
	if err := s.change(ctx, channels, func([]string) {}); err != nil {
		return err
	}
	return s.b.settle(ctx, func() error { return s.entry.Add(ctx, channels...) })
}
