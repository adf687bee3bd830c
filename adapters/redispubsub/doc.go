// Package redispubsub broadcasts notifications over Redis Pub/Sub (PUBLISH, SUBSCRIBE, PSUBSCRIBE), one JSON
// object each, so that any Redis client can listen.
//
// Delivery is at most once: who does not listen at that moment misses it, and Redis keeps nothing. A connection
// that broke is made again, and the subscription yields a gap once all its channels are confirmed again.
//
// Limits and defaults:
//
//   - a notification has at most realtime.MaxSize bytes encoded
//   - NotifyTimeout, 1 s: a pipeline without an answer is given up after it
//   - Buffer, 1024: notifications that wait for a slow subscriber; then the oldest is dropped and counted
//   - ProbeIdle, 10 s: a silent connection is probed after it, and given up after as long again
//   - every subscription has a connection and two goroutines; the backend has two writers
//   - one server, one with replicas behind one address or Redis Sentinel, or a Redis Cluster
//
// On a Redis Cluster, channels are those of sharded Pub/Sub (SPUBLISH, SSUBSCRIBE): a notification goes to the master
// that has the slot of its channel, and a subscription has a connection to each master that has some of its channels.
// Patterns are refused with realtime.ErrUnsupported there. A channel whose slot moves goes along, and so does one whose
// master died, to its replica: both with a gap. Config.Classic uses PUBLISH and SUBSCRIBE instead, which every node
// passes on to all others: with patterns, and a load on the cluster that does not shrink with more nodes. Both ends must
// use the same: they do not hear each other.
//
// Concurrent calls of Notify share pipelines: whatever waits when a writer is free goes out together.
// Channels have no database number: all databases of a server share them.
//
// # On the wire
//
// A notification as redis-cli shows it: the payload is one flat JSON object without the fields that are empty.
//
//	$ redis-cli SUBSCRIBE events:order:42
//	1) "subscribe"
//	2) "events:order:42"
//	3) (integer) 1
//	1) "message"
//	2) "events:order:42"
//	3) "{\"id\":\"0190a5f2-6c6b-7c1e-9a55-3c1f3d0a7b10\",\"type\":\"order.created\",\"source_type\":\"order\",\"source_id\":\"42\",\"time\":\"2024-07-10T09:30:00Z\",\"topic\":\"orders\",\"position\":\"1720603800000-0\"}"
package redispubsub
