package dual

import (
	"context"
	"errors"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// MiddlewareOpener makes a policy of the section of a file that has its name, such as retry.
type MiddlewareOpener struct {
	// Place orders the policies: one with a smaller Place stands outside of one with a larger.
	Place int
	// Always opens it with its defaults where the file has no such section.
	Always bool
	// Settings is as that of [DurableOpener].
	Settings func() any
	// Open makes it. The error may be a *SettingError.
	Open func(ctx context.Context, settings any, deps MiddlewareDeps) (Middleware, error)
}

// MiddlewareDeps is what the opener of a policy gets beside its settings.
type MiddlewareDeps struct {
	Deps
	Durable  durable.Backend  // opened; without wrappers
	Realtime realtime.Backend // nil where nothing is announced
	// Observers are what the policies of the file have as Middleware.Observer for a group. It is to be called when the
	// handlers of the group are wrapped, not before.
	Observers func(group string) []any
}

// Middleware is a policy that was opened. What it has nothing to do with is nil.
type Middleware struct {
	// Handler wraps the handlers of a group.
	Handler func(group string) message.HandlerMiddleware
	// Batch wraps the handlers of batches. Defaults to Handler around each event of the batch; see durable.EachOfBatch.
	Batch func(group string) func(durable.BatchHandler) durable.BatchHandler
	// Append wraps the storing side, Notify the announcing one.
	Append func(durable.Backend) durable.Backend
	Notify func(realtime.Backend) realtime.Backend
	// Metadata is what published events get from the context of their call; see Options.Metadata, which goes before it.
	Metadata func(ctx context.Context) map[string]string
	// Consume wraps Stack.Durable, from which groups consume. It forwards the optional abilities.
	Consume func(durable.Backend) durable.Backend
	// Topics are what a group consumes beside its topics.
	Topics func(topics ...string) []string
	// Process adds to the options of a member of g; see [Stack.ProcessOf].
	Process func(g durable.Group, o *durable.ProcessOptions)
	// Observer is told by the other policies what they do for a group, as far as it has the methods that they look
	// for, such as OnRetry and OnPoison.
	Observer func(group string) any
	// Opened is called with the stack when all of it is open.
	Opened func(*Stack)
	// Health is nil, or the reason in words why events wait.
	Health func(context.Context) error
	// Close ends what Open began.
	Close func(context.Context) error
}

// MiddlewareOf is the opener of a policy with settings of type S.
func MiddlewareOf[S any](place int, defaults S, open func(context.Context, S, MiddlewareDeps) (Middleware, error)) MiddlewareOpener {
	return MiddlewareOpener{
		Place:    place,
		Settings: func() any { s := defaults; return &s },
		Open: func(ctx context.Context, settings any, deps MiddlewareDeps) (Middleware, error) {
			return open(ctx, *settings.(*S), deps)
		},
	}
}

// errProduced: see Stack.Handler.
var errProduced = errors.New("dual: the handler produced messages and nothing publishes them: publish inside of the handler")

// Handler is h in the policies of the file, for durable.Process with s.Group(group). What h produces is not published:
// durable.Process ends with an error when it produces something.
func (s *Stack) Handler(group string, h message.HandlerFunc) message.NoPublishHandlerFunc {
	for i := len(s.policies) - 1; i >= 0; i-- {
		if wrap := s.policies[i].Handler; wrap != nil {
			h = wrap(group)(h)
		}
	}
	return func(msg *message.Message) error {
		out, err := h(msg)
		if err == nil && len(out) > 0 {
			return durable.Stop(errProduced)
		}
		return err
	}
}

// HandleEvent is Handler for a handler of events.
func (s *Stack) HandleEvent(group string, h func(ctx context.Context, e durable.Event) error) message.NoPublishHandlerFunc {
	handle := durable.HandleEvent(h)
	return s.Handler(group, func(msg *message.Message) ([]*message.Message, error) { return nil, handle(msg) })
}

// Batch is h in the policies of the file, for durable.ProcessBatch with s.Group(group) and s.ProcessOf of it.
func (s *Stack) Batch(group string, h durable.BatchHandler) durable.BatchHandler {
	for i := len(s.policies) - 1; i >= 0; i-- {
		switch p := s.policies[i]; {
		case p.Batch != nil:
			h = p.Batch(group)(h)
		case p.Handler != nil:
			h = durable.EachOfBatch(p.Handler(group), h)
		}
	}
	return h
}
