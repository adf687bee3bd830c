// Package middleware holds the policies that a consumer and a publisher need in production: retry, timeout, recovery
// of panics, a poison queue, limits, and a stack that puts them together in an order that loses nothing.
//
// # Shape
//
// A policy is a struct. Its zero value has the defaults that its fields document; Validate returns an
// *durable.InvalidError that names the field that makes no sense. Its method Middleware wraps a handler as a
// middleware of Watermill does, so that it serves under durable.Process, in Watermill's Router and around a plain
// message.HandlerFunc alike. A policy whose Validate fails handles nothing: durable.Process ends with the error, a router
// gets it for every message. A [Chain] says so before.
//
// # Errors
//
// The error of a handler decides: [Permanent] is not tried again, [Skip] is acknowledged, [After] and
// durable.RetryAfter ask for their own delay, [Busy] is not a failure. Every other error is tried again.
// [ClassOf] tells which.
//
// # Order
//
// [Stack] puts the policies together in their default order, outermost first: metrics, tracing, [Filter], [Poison],
// [Tiers], [Retry], [Logging], [Dedupe], [Breaker], [Concurrency], [RateLimit], [Timeout], [Recover], [Produce], handler.
// [NewChain] takes any other order that loses no events, with middleware of others by [Wrap], and refuses the rest with the reason.
//
// On the publishing side Retry, Poison and Breaker have a method Append for dual.Options.Append, and Retry has Notify
// for dual.Options.Notify; [PublisherStack] orders them. Configuration files of dual build both from the sections
// filter, retry, poison, tiers, logging, dedupe, breaker, concurrency, rate_limit and timeout, and from metrics and
// tracing where the program has the openers of prometheus and otel.
//
// For durable.ProcessBatch, [Chain.Batch] and Stack.Batch put the same policies around a handler of batches, and
// dual.Stack.Batch those of a file.
//
// What ended in a poison topic is looked at and moved back by [Redrive].
//
// # Waiting
//
// Under durable.Process a retry is an error that the engine schedules: it holds no worker. Elsewhere, also in a router on
// a durable.Subscriber, which knows no errors but Nack alone (see durable.Scheduled), the policy waits in place, and
// returns at once, with an error, when the context of the message ends. Neither case is a failure of the event: it stays
// unacknowledged and is never poisoned.
package middleware
