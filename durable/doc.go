// Package durable stores events in a stream that must not lose them, and processes them in groups.
//
// A [Backend] is what an adapter implements: Append, Consume, Replay. Everything that is hard and the same for
// every broker stands above it: [Publisher] validates and applies backpressure, [Process] gives keyed
// concurrency, the acknowledgement window, scheduled retries and a graceful drain.
//
// The unit is Watermill's *message.Message; an [Event] is a message whose metadata are the CloudEvents
// attributes.
package durable
