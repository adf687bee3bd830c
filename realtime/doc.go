// Package realtime tells whoever listens now that something happened: best effort, ids only.
//
// A [Backend] is what an adapter implements: Notify and Subscribe. The [Dispatcher] stands above it: publishers
// hand notifications over and go on, whatever the state of the broker.
package realtime
