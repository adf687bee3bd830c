// Package watermilltests runs Watermill's own suite for Pub/Subs and its Router on the façades of durable. It is a module
// of its own, so that what the suite needs (testify) never enters ours.
package watermilltests
