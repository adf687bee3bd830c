// Package dual stores events and then announces them: one call, two paths.
//
// [Publisher] writes to a durable stream, which alone decides the error, and hands a notification that carries ids
// and the position to a real-time bus, which never delays or fails a publish. [Load] and [Open] assemble it from a
// YAML file in which one word names the broker.
//
// [Check] tells all problems of a file at once, for CI. [Config.Effective] prints what a process runs with. [Reference]
// and [Schema] describe the files of a program to people and editors; those of the built-in backends and policies are
// CONFIGURATION.md and schema.json beside package adapters. A file that begins with
//
//	# yaml-language-server: $schema=https://raw.githubusercontent.com/dualstream/dualstream/main/adapters/schema.json
//
// is completed and checked by editors.
package dual
