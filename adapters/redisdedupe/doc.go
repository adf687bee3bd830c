// Package redisdedupe is a middleware.DedupeStore on Redis: what one process has handled, the others know.
//
// Every key is one Redis string, so that it works on Redis Cluster: while reserved it holds the token, afterwards "+",
// each with an expiry of its own. Reserving is one command (SET NX GET PX, which needs Redis 7.0), remembering another
// (SET PX), giving up a script (compare and delete). A batch is one pipeline, and calls that come while the connection
// is busy share the next one: no timer, so that a single call is not delayed.
//
// Limits and defaults:
//
//   - Prefix, "ds:dedupe:": stands before every key
//   - CallTimeout, 1 s: a pipeline without an answer is given up after it, and every call that waits for it fails
//   - two pipelines of up to 1000 commands are in flight
//   - an event takes about 150 bytes of the server's memory for as long as it is remembered
//   - a server that evicts, restarts without persistence or fails over forgets: events are then handled again
package redisdedupe
