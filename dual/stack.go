package dual

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// closeGrace bounds the closing of what an Open that failed had opened.
const closeGrace = 5 * time.Second

// Stack is what Open assembled. It owns the backends: Close closes all.
type Stack struct {
	Publisher *Publisher
	Durable   durable.Backend
	Realtime  realtime.Backend       // nil where nothing is announced
	Process   durable.ProcessOptions // for durable.Process, as the file says

	cfg      *Config
	policies []Middleware // outermost first
	sections []string     // of the policies
}

// Topic is where Publisher stores unless Options.TopicOf says otherwise.
func (s *Stack) Topic() string { return s.cfg.topic() }

// Group describes one member of the group name, for durable.Process with s.Durable and s.Process. Without topics
// it reads the topic of the publisher; those that a policy of the file adds, such as retry tiers, come with them.
func (s *Stack) Group(name string, topics ...string) durable.Group {
	if len(topics) == 0 {
		topics = []string{s.Topic()}
	}
	all := append([]string(nil), topics...)
	for _, p := range s.policies {
		if p.Topics != nil {
			all = append(all, p.Topics(topics...)...)
		}
	}
	return durable.Group{Name: name, Topics: durable.Topics(all...)}
}

// ProcessOf is s.Process with what the policies of the file add for a member of g, such as the Monitor of its metrics.
func (s *Stack) ProcessOf(g durable.Group) durable.ProcessOptions {
	o := s.Process
	for _, p := range s.policies {
		if p.Process != nil {
			p.Process(g, &o)
		}
	}
	return o
}

// Health is nil when events can be stored and announced, else the reasons in words. A backend that cannot tell
// counts as healthy.
func (s *Stack) Health(ctx context.Context) error {
	var errs []error
	if h, ok := s.Durable.(durable.HealthChecker); ok {
		if err := h.Health(ctx); err != nil {
			errs = append(errs, fmt.Errorf("durable %s: %w", s.cfg.Durable, err))
		}
	}
	if h, ok := s.Realtime.(realtime.HealthChecker); ok {
		if err := h.Health(ctx); err != nil {
			errs = append(errs, fmt.Errorf("realtime %s: %w", s.cfg.Realtime, err))
		}
	}
	for _, p := range s.policies {
		if p.Health != nil {
			errs = append(errs, p.Health(ctx))
		}
	}
	return errors.Join(errs...)
}

// Close drains the publisher, then closes the policies, the real-time and the durable backend, all bounded by ctx. It is
// idempotent. Processors end by their own ctx and are to be waited for first.
func (s *Stack) Close(ctx context.Context) error {
	var errs []error
	if s.Publisher != nil {
		errs = append(errs, s.Publisher.Close(ctx))
	}
	for _, p := range s.policies {
		if p.Close != nil {
			errs = append(errs, p.Close(ctx))
		}
	}
	if s.Realtime != nil {
		errs = append(errs, s.Realtime.Close(ctx))
	}
	if s.Durable != nil {
		errs = append(errs, s.Durable.Close(ctx))
	}
	return errors.Join(errs...)
}

func (c *Config) topic() string {
	if c.Publish.Topic == "" {
		return defaultTopic
	}
	return c.Publish.Topic
}

func (c *Config) processOptions(logger *slog.Logger) durable.ProcessOptions {
	return durable.ProcessOptions{
		Concurrency: c.Process.Concurrency, MaxInFlight: c.Process.MaxInFlight, StallAfter: c.Process.StallAfter, Logger: logger,
	}
}
