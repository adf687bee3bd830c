package dual

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// CheckOf looks at anything that can tell its health, such as a poison queue or retry tiers.
func CheckOf(name string, h durable.HealthChecker) HealthCheck {
	return HealthCheck{Name: name, Check: h.Health}
}

// CheckDurable looks at a durable backend. Where it cannot tell, it counts as healthy. A broker that serves but may
// lose acknowledged events by its settings ([durable.ErrAtRisk]) is degraded.
func CheckDurable(b durable.Backend) HealthCheck {
	return HealthCheck{Name: "durable " + b.Capabilities().Backend, Check: func(ctx context.Context) error {
		h, ok := b.(durable.HealthChecker)
		if !ok {
			return nil
		}
		err := h.Health(ctx)
		if errors.Is(err, durable.ErrAtRisk) {
			return Degraded(err)
		}
		return err
	}}
}

// CheckRealtime looks at a real-time backend. It is best effort: without it the process is degraded, not unready.
func CheckRealtime(b realtime.Backend) HealthCheck {
	return HealthCheck{Name: "realtime " + b.Capabilities().Backend, Optional: true, Check: func(ctx context.Context) error {
		h, ok := b.(realtime.HealthChecker)
		if !ok {
			return nil
		}
		return h.Health(ctx)
	}}
}

// CheckAnnouncing looks at the circuit breaker of a publisher's announcing side: while it is open, notifications are
// dropped and the process is degraded.
func CheckAnnouncing(p *Publisher) HealthCheck {
	return HealthCheck{Name: "announcing", Optional: true, Check: func(context.Context) error {
		s := p.Stats().Bus
		if s.Breaker == realtime.BreakerClosed {
			return nil
		}
		return fmt.Errorf("the circuit breaker is %s: notifications are dropped, %d so far", s.Breaker, s.Dropped.Total())
	}}
}

// CheckLag fails while group is more than most events behind in one partition of the topics, or while that cannot be
// found out. A lag that the backend does not know is no failure. A backend that is no durable.LagReporter fails always.
func CheckLag(b durable.Backend, group string, most int64, topics ...string) HealthCheck {
	return HealthCheck{Name: "lag of " + group, Check: func(ctx context.Context) error {
		l, ok := b.(durable.LagReporter)
		if !ok {
			return fmt.Errorf("backend %q does not tell the lag: %w", b.Capabilities().Backend, durable.ErrUnsupported)
		}
		for _, topic := range topics {
			partitions, err := l.Lag(ctx, group, topic)
			if err != nil {
				return err
			}
			for _, p := range partitions {
				if p.Lag > most {
					return fmt.Errorf("group %q is %d events behind in partition %d of %q, more than %d", group, p.Lag, p.Partition, topic, most)
				}
			}
		}
		return nil
	}}
}

// CheckStalls fails while one delivery has kept a full window of a Process from moving for longer than after: nothing
// more of the topic is handled until it is.
func CheckStalls(name string, m *durable.Monitor, after time.Duration) HealthCheck {
	return HealthCheck{Name: name, Check: func(context.Context) error {
		for _, s := range m.Stats().Stalls {
			if since := time.Since(s.Since); since >= after {
				return fmt.Errorf("partition %d of %q is stalled by key %q at %s, attempt %d, for %s: %d deliveries are held",
					s.Partition, s.Topic, s.Key, s.Position, s.Attempt, since.Round(time.Millisecond), s.Held)
			}
		}
		return nil
	}}
}

// HealthChecks are those of the backends, of the publisher and of the policies of the file, for [NewHealth].
func (s *Stack) HealthChecks() []HealthCheck {
	checks := []HealthCheck{CheckDurable(s.Durable)}
	if s.Realtime != nil {
		checks = append(checks, CheckRealtime(s.Realtime), CheckAnnouncing(s.Publisher))
	}
	for i, p := range s.policies {
		if p.Health != nil {
			checks = append(checks, HealthCheck{Name: "policy " + s.sections[i], Check: p.Health})
		}
	}
	return checks
}
