package memory

import (
	"context"

	"github.com/dualstream/dualstream/realtime"
)

// RealtimeConfig configures an embedded real-time bus. The zero value is usable.
type RealtimeConfig struct {
	// Buffer is how many notifications a slow subscription holds before the oldest is dropped and a gap told.
	// Defaults to realtime.DefaultInbox (1024).
	Buffer int
}

// Realtime is an embedded real-time bus: it broadcasts to the subscriptions of its own process, which its Table holds.
// Safe for concurrent use. It starts no goroutine.
type Realtime struct{ *realtime.Table }

var (
	_ realtime.Backend       = (*Realtime)(nil)
	_ realtime.HealthChecker = (*Realtime)(nil)
)

// NewRealtime returns an empty bus. A negative Buffer is a *realtime.InvalidError.
func NewRealtime(c RealtimeConfig) (*Realtime, error) {
	if c.Buffer < 0 {
		return nil, &realtime.InvalidError{Field: "Buffer", Value: "negative", Remedy: "use 0 for the default, or a positive number"}
	}
	caps := realtime.Capabilities{Backend: "memory", Patterns: true, MaxNotification: realtime.MaxSize}
	return &Realtime{realtime.NewTable(caps, c.Buffer)}, nil
}

// Notify implements realtime.Backend. It never blocks: a subscription that is too slow gets a gap.
func (r *Realtime) Notify(ctx context.Context, ns ...realtime.Notification) error {
	if err := r.Check(ctx, ns); err != nil {
		return err
	}
	r.Put(ns...)
	return nil
}
