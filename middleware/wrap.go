package middleware

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// AppendFunc is durable.Backend's Append.
type AppendFunc func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error)

// WrapAppend is b with another Append: the shape of a policy on the storing side. Every other method is b's, the
// optional abilities included: one that b lacks is durable.ErrUnsupported, and a b that knows nothing about its health
// is healthy.
func WrapAppend(b durable.Backend, f AppendFunc) durable.Backend {
	return &appender{Backend: b, append: f}
}

type appender struct {
	durable.Backend
	append AppendFunc
}

var (
	_ durable.HealthChecker      = (*appender)(nil)
	_ durable.Administrator      = (*appender)(nil)
	_ durable.GroupAdministrator = (*appender)(nil)
	_ durable.LagReporter        = (*appender)(nil)
	_ durable.Trimmer            = (*appender)(nil)
	_ durable.Remover            = (*appender)(nil)
)

// Append implements durable.Backend.
func (a *appender) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	return a.append(ctx, topic, msgs...)
}

// Unwrap is the backend inside.
func (a *appender) Unwrap() durable.Backend { return a.Backend }

// Health implements durable.HealthChecker.
func (a *appender) Health(ctx context.Context) error {
	if h, ok := a.Backend.(durable.HealthChecker); ok {
		return h.Health(ctx)
	}
	return nil
}

// CreateTopic implements durable.Administrator.
func (a *appender) CreateTopic(ctx context.Context, spec durable.TopicSpec) error {
	if admin, ok := a.Backend.(durable.Administrator); ok {
		return admin.CreateTopic(ctx, spec)
	}
	return a.lacks("create topics")
}

// DeleteTopic implements durable.Administrator.
func (a *appender) DeleteTopic(ctx context.Context, topic string) error {
	if admin, ok := a.Backend.(durable.Administrator); ok {
		return admin.DeleteTopic(ctx, topic)
	}
	return a.lacks("delete topics")
}

// DescribeTopic implements durable.Administrator.
func (a *appender) DescribeTopic(ctx context.Context, topic string) (durable.TopicInfo, error) {
	if admin, ok := a.Backend.(durable.Administrator); ok {
		return admin.DescribeTopic(ctx, topic)
	}
	return durable.TopicInfo{}, a.lacks("describe topics")
}

// Lag implements durable.LagReporter.
func (a *appender) Lag(ctx context.Context, group, topic string) ([]durable.PartitionLag, error) {
	if l, ok := a.Backend.(durable.LagReporter); ok {
		return l.Lag(ctx, group, topic)
	}
	return nil, a.lacks("report lag")
}

// Groups implements durable.GroupAdministrator.
func (a *appender) Groups(ctx context.Context, topic string) ([]string, error) {
	if admin, ok := a.Backend.(durable.GroupAdministrator); ok {
		return admin.Groups(ctx, topic)
	}
	return nil, a.lacks("name groups")
}

// ResetGroup implements durable.GroupAdministrator.
func (a *appender) ResetGroup(ctx context.Context, group, topic string, start durable.Start) error {
	if admin, ok := a.Backend.(durable.GroupAdministrator); ok {
		return admin.ResetGroup(ctx, group, topic, start)
	}
	return a.lacks("reset groups")
}

// DeleteGroup implements durable.GroupAdministrator.
func (a *appender) DeleteGroup(ctx context.Context, group, topic string) error {
	if admin, ok := a.Backend.(durable.GroupAdministrator); ok {
		return admin.DeleteGroup(ctx, group, topic)
	}
	return a.lacks("delete groups")
}

// Trim implements durable.Trimmer.
func (a *appender) Trim(ctx context.Context, topic string, t durable.Trim) (durable.Trimmed, error) {
	if trimmer, ok := a.Backend.(durable.Trimmer); ok {
		return trimmer.Trim(ctx, topic, t)
	}
	return durable.Trimmed{}, a.lacks("trim topics")
}

// Remove implements durable.Remover.
func (a *appender) Remove(ctx context.Context, topic string, ps ...durable.Position) (int64, error) {
	if remover, ok := a.Backend.(durable.Remover); ok {
		return remover.Remove(ctx, topic, ps...)
	}
	return 0, a.lacks("remove records")
}

func (a *appender) lacks(what string) error {
	return fmt.Errorf("middleware: backend %s does not %s: %w", a.Capabilities().Backend, what, durable.ErrUnsupported)
}

// NotifyFunc is realtime.Backend's Notify.
type NotifyFunc func(ctx context.Context, ns ...realtime.Notification) error

// WrapNotify is b with another Notify: the shape of a policy on the announcing side.
func WrapNotify(b realtime.Backend, f NotifyFunc) realtime.Backend {
	return &notifier{Backend: b, notify: f}
}

type notifier struct {
	realtime.Backend
	notify NotifyFunc
}

var _ realtime.HealthChecker = (*notifier)(nil)

// Notify implements realtime.Backend.
func (n *notifier) Notify(ctx context.Context, ns ...realtime.Notification) error {
	return n.notify(ctx, ns...)
}

// Unwrap is the backend inside.
func (n *notifier) Unwrap() realtime.Backend { return n.Backend }

// Health implements realtime.HealthChecker.
func (n *notifier) Health(ctx context.Context) error {
	if h, ok := n.Backend.(realtime.HealthChecker); ok {
		return h.Health(ctx)
	}
	return nil
}
