package realtimetest

import (
	"context"
	"testing"

	"github.com/dualstream/dualstream/realtime"
)

// backend is a realtime.Backend some of whose methods are replaced; nil functions are the embedded ones.
type backend struct {
	realtime.Backend
	notify    func(ctx context.Context, ns []realtime.Notification) error
	subscribe func(ctx context.Context, channels []string) (realtime.Subscription, error)
	close     func(ctx context.Context) error
}

func (b *backend) Notify(ctx context.Context, ns ...realtime.Notification) error {
	if b.notify != nil {
		return b.notify(ctx, ns)
	}
	return b.Backend.Notify(ctx, ns...)
}

func (b *backend) Subscribe(ctx context.Context, channels ...string) (realtime.Subscription, error) {
	if b.subscribe != nil {
		return b.subscribe(ctx, channels)
	}
	return b.Backend.Subscribe(ctx, channels...)
}

func (b *backend) Close(ctx context.Context) error {
	if b.close != nil {
		return b.close(ctx)
	}
	return b.Backend.Close(ctx)
}

// subscription is a realtime.Subscription whose Next or Close is replaced.
type subscription struct {
	realtime.Subscription
	next  func(ctx context.Context) (realtime.Signal, error)
	close func() error
}

func (s *subscription) Next(ctx context.Context) (realtime.Signal, error) {
	if s.next != nil {
		return s.next(ctx)
	}
	return s.Subscription.Next(ctx)
}

func (s *subscription) Close() error {
	if s.close != nil {
		return s.close()
	}
	return s.Subscription.Close()
}

// fault is a backend that breaks one promise, and the check that must find it.
type fault struct {
	name  string
	check string
	wrap  func(t testing.TB, b realtime.Backend) realtime.Backend
}

// notifying is a fault of Notify: broken replaces it.
func notifying(broken func(ctx context.Context, b realtime.Backend, ns []realtime.Notification) error) func(testing.TB, realtime.Backend) realtime.Backend {
	return func(_ testing.TB, b realtime.Backend) realtime.Backend {
		return &backend{Backend: b, notify: func(ctx context.Context, ns []realtime.Notification) error { return broken(ctx, b, ns) }}
	}
}

// subscribing is a fault of subscriptions: broken stands above each.
func subscribing(broken func(t testing.TB, s realtime.Subscription) realtime.Subscription) func(testing.TB, realtime.Backend) realtime.Backend {
	return func(t testing.TB, b realtime.Backend) realtime.Backend {
		return &backend{Backend: b, subscribe: func(ctx context.Context, channels []string) (realtime.Subscription, error) {
			s, err := b.Subscribe(ctx, channels...)
			if err != nil {
				return nil, err
			}
			return broken(t, s), nil
		}}
	}
}

// altering changes what Next yields; keep false leaves the signal out.
func altering(alter func(*realtime.Signal) (keep bool)) func(testing.TB, realtime.Backend) realtime.Backend {
	return subscribing(func(_ testing.TB, s realtime.Subscription) realtime.Subscription {
		return &subscription{Subscription: s, next: func(ctx context.Context) (realtime.Signal, error) {
			for {
				got, err := s.Next(ctx)
				if err != nil || alter(&got) {
					return got, err
				}
			}
		}}
	})
}
