package redispubsub

import (
	"runtime"
	"testing"

	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

// A call of a full batch allocates less than its commands are long, because their buffer is mostly one of an earlier call
// (the race detector has a pool forget every fourth).
func TestNotifyKeepsItsBuffers(t *testing.T) {
	backend, channel := open(t, testenv.Redis(t)), unique(t)
	ns := make([]realtime.Notification, 256)
	for i := range ns {
		ns[i] = realtime.Notification{Channel: channel, ID: "1", Type: "order.created", SourceType: "order", SourceID: "42"}
	}
	send := func() {
		if err := backend.Notify(t.Context(), ns...); err != nil {
			t.Fatal(err)
		}
	}
	send()
	const calls = 40
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range calls {
		send()
	}
	runtime.ReadMemStats(&after)
	if got, most := (after.TotalAlloc-before.TotalAlloc)/calls, uint64(usualSize*len(ns)*3/4); got > most {
		t.Errorf("a call allocates %d bytes, want at most %d", got, most)
	}
}
