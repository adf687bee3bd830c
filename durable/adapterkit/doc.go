// Package adapterkit is what an adapter needs beside its broker: a [Gate] for the calls in flight and Close, a [Window]
// of what a claim has handed out, [Seats] for the claims of a member, the checks of starts and ranges, and, for stores
// that have locks and no news, a whole consumer ([Standby]) and [Replay].
//
// The adapters of memory and of examples/customadapter are made of it; its README is the guide.
package adapterkit
