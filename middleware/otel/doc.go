// Package otel traces and measures events with OpenTelemetry, by its semantic conventions for messaging. It uses the
// API alone: what becomes of spans and metrics is the program's choice of an SDK.
//
//	telemetry, err := otel.New(otel.Options{})
//	publisher, err := dual.New(b, n, dual.Options{
//		Metadata: telemetry.Metadata,                                       // traceparent of the caller
//		Append:   []func(durable.Backend) durable.Backend{telemetry.Append}, // "send orders"
//		Notify:   []func(realtime.Backend) realtime.Backend{telemetry.Notify},
//	})
//	stack := middleware.Stack{Tracing: telemetry.Consumer(b, group)}         // "process orders"
//	err = durable.Process(ctx, telemetry.Receive(b), group, …)               // "poll orders"
//
// [Opener] does all of it for dual.Open, where the file has the section tracing.
//
// The trace context travels in the metadata of the message (traceparent, tracestate, baggage), so it survives retries,
// a poison topic, redrive and a wrapper that stores in another backend, and in the notification. A message that has one keeps it: the span that sends it
// is linked to it. One without gets that of the span that sends it.
//
// Spans that stand for a batch (send, poll, notify) are linked to the events of it, up to 128 links. The span that
// processes an event is a child of what the event carries, or linked to it (Options.Links).
package otel
