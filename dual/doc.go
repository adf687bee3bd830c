// Package dual stores events and then announces them: one call, two paths.
//
// [Publisher] writes to a durable stream, which alone decides the error, and hands a notification that carries ids
// and the position to a real-time bus, which never delays or fails a publish. [Load] and [Open] assemble it from a
// YAML file in which one word names the broker.
package dual
