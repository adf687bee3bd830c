package redispubsub

import (
	"runtime"
	"slices"
	"testing"

	"github.com/dualstream/dualstream/internal/testenv"
	"github.com/dualstream/dualstream/realtime"
)

// A call of a full batch allocates less than its commands are long, because their buffer is one of an earlier call. One
// call in four is enough to see it: the race detector and the collector make a pool forget at random.
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
	allocated := make([]uint64, 40)
	for i := range allocated {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		send()
		runtime.ReadMemStats(&after)
		allocated[i] = after.TotalAlloc - before.TotalAlloc
	}
	slices.Sort(allocated)
	if got, most := allocated[len(allocated)/4], uint64(usualSize*len(ns)*3/4); got > most {
		t.Errorf("a call allocates %d bytes, want at most %d", got, most)
	}
}
