package dual

import (
	"context"
	"log/slog"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

const defaultTopic = "events"

// The encodings of Options.Encoding. Readers take both, in one topic too.
const (
	EncodingBinary     = "binary"     // the attributes are metadata, the payload is the event's data
	EncodingStructured = "structured" // the payload is the whole event as one CloudEvents JSON document; see durable.Structured
)

// Options configure a Publisher. The zero value takes the defaults. The functions are called from many goroutines.
type Options struct {
	// Topic is where events are stored. Defaults to "events".
	Topic string
	// TopicOf names the topic of each event. Defaults to Topic for all.
	TopicOf func(durable.Event) string
	// Channels names where an event is announced; none: nowhere. Defaults to the channel of its source.
	Channels func(durable.Event) []string
	// Key places and orders an event. Defaults to its SourceID.
	Key func(durable.Event) string
	// Metadata is what the events of a call get from its context where they do not have it, such as a traceparent;
	// it reaches the notification too. Defaults to nothing.
	Metadata func(ctx context.Context) map[string]string
	// Encoding is EncodingBinary or EncodingStructured. Defaults to EncodingBinary.
	Encoding string
	// Append wraps the storing side (metrics, tracing, poison, retry, breaker); the first is the outermost.
	Append []func(durable.Backend) durable.Backend
	// Notify wraps the announcing side; the first is the outermost.
	Notify []func(realtime.Backend) realtime.Backend
	// Publisher bounds what is in flight to the durable backend.
	Publisher durable.PublisherOptions
	// Dispatcher bounds what waits to be announced.
	Dispatcher realtime.DispatcherOptions
	// Logger defaults to slog.Default(). It also is the default of Publisher and Dispatcher.
	Logger *slog.Logger
}

func (o Options) filled() (Options, error) {
	if o.Topic == "" {
		o.Topic = defaultTopic
	}
	if err := durable.CheckTopic(o.Topic); err != nil {
		return o, err
	}
	if o.Encoding == "" {
		o.Encoding = EncodingBinary
	}
	if o.Encoding != EncodingBinary && o.Encoding != EncodingStructured {
		return o, durable.Invalid("Encoding", o.Encoding, "use "+EncodingBinary+" or "+EncodingStructured)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Publisher.Logger == nil {
		o.Publisher.Logger = o.Logger
	}
	if o.Dispatcher.Logger == nil {
		o.Dispatcher.Logger = o.Logger
	}
	return o, nil
}

// wrapped is b inside of wrappers, the first of them outermost.
func wrapped[B any](b B, wrappers []func(B) B) B {
	for i := len(wrappers) - 1; i >= 0; i-- {
		b = wrappers[i](b)
	}
	return b
}

func (c *Config) options() Options {
	return Options{
		Topic: c.Publish.Topic, Encoding: c.Publish.Encoding,
		Publisher: durable.PublisherOptions{
			MaxInFlight: c.Publish.MaxInFlight, MaxInFlightBytes: int(c.Publish.MaxBytes), Wait: c.Publish.Wait,
		},
		Dispatcher: realtime.DispatcherOptions{Queue: c.Publish.Queue},
	}
}
