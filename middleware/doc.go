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
// # Waiting
//
// Under durable.Process a retry is an error that the engine schedules: it holds no worker. Elsewhere the policy waits
// in place, and returns at once, with an error, when the context of the message ends. Neither case is a failure of
// the event: it stays unacknowledged and is never poisoned.
package middleware
