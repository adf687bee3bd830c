package otel

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
)

// place is that of tracing: inside of metrics and outside of all other policies. It is adapters.PlaceTracing, without
// the adapters.
const place = 20

// Settings are the keys of the section tracing of a file; see Options. What the file does not name is as in the Options
// of the program.
type Settings struct {
	Links bool `yaml:"links" doc:"handling an event begins a trace of its own, linked to that of its publisher" example:"true"`
}

// Opener is that of the section tracing, for the openers of a program, which alone decides whether it links
// OpenTelemetry:
//
//	openers := adapters.All()
//	openers.Middleware["tracing"] = otel.Opener(otel.Options{})
//
// It has spans and metrics for the publisher, for the announcements, for what is consumed from dual.Stack.Durable, and for
// every group whose handlers dual.Stack wraps. With zero Options they go where the global providers lead when the file
// is opened or, as OpenTelemetry has it, when they are set later.
func Opener(o Options) dual.MiddlewareOpener {
	return dual.MiddlewareOf(place, Settings{Links: o.Links}, func(_ context.Context, s Settings, deps dual.MiddlewareDeps) (dual.Middleware, error) {
		of := o
		of.Links = s.Links
		t, err := New(of)
		if err != nil {
			return dual.Middleware{}, err
		}
		return dual.Middleware{
			Append: t.Append, Notify: t.Notify, Metadata: t.Metadata, Consume: t.Receive,
			Handler: func(group string) message.HandlerMiddleware {
				return t.Consumer(deps.Durable, durable.Group{Name: group}).Middleware
			},
		}, nil
	})
}
