// Package durable stores events in a stream that must not lose them, and processes them in groups.
//
// A [Backend] is what an adapter implements: Append, Consume, Replay. Everything that is hard and the same for
// every broker stands above it: [Publisher] validates and applies backpressure, [Process] gives keyed
// concurrency, the acknowledgement window, scheduled retries and a graceful drain, [ProcessBatch] the same to
// handlers that take several deliveries at once.
//
// Handlers are Watermill's, or typed: [HandleEvent], [Handle]. Their errors say what becomes of a delivery:
// [RetryAfter], [Park], [Release], [Stop]. [DeliveryOf] tells them what they work on, and a [Monitor] tells the
// program what Process does.
//
// [Reader] reads topics without a group: it sees everything, and hands it to any number of subscriptions.
//
// The unit is Watermill's *message.Message; an [Event] is a message whose metadata are the CloudEvents
// attributes. [Publisher] is Watermill's message.Publisher and [Subscriber] its message.Subscriber, so that its
// Router and middleware run on any Backend.
//
// COMPARISON.md in this directory tells what users of Pulse and of watermill-redisstream find here, and which tests
// prove it.
package durable
