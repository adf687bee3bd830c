package prometheus

import (
	"context"
	"sync"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/dualstream/dualstream/middleware"
	"github.com/dualstream/dualstream/realtime"
)

// Notify counts what is broadcast through b and what its subscriptions yield; for dual.Options.Notify, and around the
// backend that is subscribed to.
func (m *Metrics) Notify(b realtime.Backend) realtime.Backend {
	name := b.Capabilities().Backend
	ok, batch := m.hot.notifyTime.WithLabelValues(name, "ok"), m.hot.notifyBatch.WithLabelValues(name)
	counted := middleware.WrapNotify(b, func(ctx context.Context, ns ...realtime.Notification) error {
		begin := time.Now()
		err := b.Notify(ctx, ns...)
		if len(ns) == 0 {
			return err
		}
		batch.Observe(float64(len(ns)))
		duration := ok
		if err != nil {
			duration = m.hot.notifyTime.WithLabelValues(name, outcomeOf(err))
		}
		duration.Observe(time.Since(begin).Seconds())
		return err
	})
	return &listening{Backend: counted, hot: m.hot, name: name}
}

// listening is a backend whose subscriptions are counted.
type listening struct {
	realtime.Backend
	hot  *hot
	name string
}

var _ realtime.HealthChecker = (*listening)(nil)

// Health implements realtime.HealthChecker.
func (l *listening) Health(ctx context.Context) error {
	return l.Backend.(realtime.HealthChecker).Health(ctx) // what WrapNotify returns has it
}

// Unwrap is the backend inside.
func (l *listening) Unwrap() realtime.Backend { return l.Backend }

// Subscribe implements realtime.Backend.
func (l *listening) Subscribe(ctx context.Context, channels ...string) (realtime.Subscription, error) {
	s, err := l.Backend.Subscribe(ctx, channels...)
	if err != nil {
		return nil, err
	}
	open := l.hot.subscriptions.WithLabelValues(l.name)
	open.Inc()
	return &subscription{
		Subscription: s, hot: l.hot, name: l.name, heard: l.hot.heard.WithLabelValues(l.name), closed: sync.OnceFunc(open.Dec),
	}, nil
}

type subscription struct {
	realtime.Subscription
	hot    *hot
	name   string
	heard  prom.Counter
	closed func()
}

// Next implements realtime.Subscription.
func (s *subscription) Next(ctx context.Context) (realtime.Signal, error) {
	signal, err := s.Subscription.Next(ctx)
	switch {
	case err != nil:
	case signal.Gap == realtime.GapNone:
		s.heard.Inc()
	default:
		s.hot.gaps.WithLabelValues(s.name, signal.Gap.String()).Inc()
		s.hot.missed.WithLabelValues(s.name).Add(float64(signal.Missed))
	}
	return signal, err
}

// Close implements realtime.Subscription.
func (s *subscription) Close() error {
	s.closed()
	return s.Subscription.Close()
}
