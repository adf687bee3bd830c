package middleware

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Logging logs every attempt at an event with its id, type, source, topic, position, attempt and duration. It belongs
// inside of Retry and outside of the rest, where [Stack] has it: it sees each attempt with its error, also the last one
// of an event that is poisoned, and those that a plain router makes in place. The engine and the policies log changes of
// state by themselves: this is for following single events.
type Logging struct {
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Success is the level of attempts that succeeded, duplicates that Dedupe acknowledged included, and of those that
	// were busy or skipped. Defaults to Debug.
	Success slog.Leveler
	// Failure is the level of attempts that failed or panicked. Defaults to Warn.
	Failure slog.Leveler
}

var _ Policy = Logging{}

// Validate returns nil: there is nothing to get wrong.
func (l Logging) Validate() error { return nil }

// Middleware wraps h.
func (l Logging) Middleware(h message.HandlerFunc) message.HandlerFunc {
	logger := orDefault(l.Logger, slog.Default())
	success, failure := slog.LevelDebug, slog.LevelWarn
	if l.Success != nil {
		success = l.Success.Level()
	}
	if l.Failure != nil {
		failure = l.Failure.Level()
	}
	return func(msg *message.Message) (out []*message.Message, err error) {
		ctx, begin, returned := msg.Context(), time.Now(), false
		defer func() {
			level, text := failure, "event panicked"
			if returned {
				level, text = logged(err, success, failure)
			}
			if !logger.Enabled(ctx, level) {
				return
			}
			attrs := append(logAttrs(ctx, msg), slog.Duration("took", time.Since(begin)))
			if err != nil {
				attrs = append(attrs, slog.Any("error", err))
			}
			logger.LogAttrs(ctx, level, text, attrs...)
		}()
		out, err = h(msg)
		returned = true
		return out, err
	}
}

// logged is how an attempt that ended with err is logged.
func logged(err error, success, failure slog.Level) (slog.Level, string) {
	if err == nil {
		return success, "event done"
	}
	switch ClassOf(err) {
	case ClassSkip:
		return success, "event skipped"
	case ClassBusy:
		return success, "event busy"
	default:
		return failure, "event failed"
	}
}

// EventLogger is logger (slog.Default() where nil) with the attributes of msg, for use within a handler.
func EventLogger(logger *slog.Logger, msg *message.Message) *slog.Logger {
	attrs := logAttrs(msg.Context(), msg)
	args := make([]any, len(attrs))
	for i, a := range attrs {
		args[i] = a
	}
	return orDefault(logger, slog.Default()).With(args...)
}

// logAttrs name msg: what is not known is left out.
func logAttrs(ctx context.Context, msg *message.Message) []slog.Attr {
	attrs := make([]slog.Attr, 0, 10)
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	m := durable.Attributes(msg)
	id := m[durable.MetaID]
	if id == "" {
		id = msg.UUID
	}
	add("event", id)
	add("type", m[durable.MetaType])
	add("source_type", strings.TrimPrefix(m[durable.MetaSource], "/"))
	add("source_id", m[durable.MetaSubject])
	d, ok := durable.DeliveryOf(ctx)
	if !ok {
		add("topic", message.SubscribeTopicFromCtx(ctx))
		add("handler", message.HandlerNameFromCtx(ctx))
		return attrs
	}
	add("topic", d.Topic)
	add("position", string(d.Position))
	add("group", d.Group)
	return append(attrs, slog.Int("attempt", d.Attempt))
}
