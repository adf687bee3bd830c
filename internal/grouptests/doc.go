// Package grouptests proves what groups promise, whatever handlers, members and servers do: on the memory adapter, on a
// real Redis, alone and as a cluster, under both orderings, and on a real Kafka. The checker of durabletest judges each
// run by its history.
package grouptests
