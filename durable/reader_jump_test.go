package durable_test

import (
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// A position that is said to be gone, and is not, costs the reader nothing.
func TestAReaderThatJumpsKeepsWhatIsStored(t *testing.T) {
	for _, start := range []durable.Start{durable.Oldest(), durable.After(nil), durable.At(time.Unix(1, 0))} {
		b := newBroken(t, 1)
		r := newReader(t, b, durable.ReaderOptions{Topics: durable.Topics("a"), Start: start, OnExpired: durable.ExpiredOldest})
		s := subscribe(t, r, durable.SubscribeOptions{})
		put(t, b, "a", "x1")
		wants(t, s, "x1")
		b.breaks(durable.ErrPositionExpired, nil)
		put(t, b, "a", "x2")
		wants(t, s, "x2")
		if n := r.Jumps(); n != 1 {
			t.Errorf("start %v: got %d jumps, want 1", start.Kind(), n)
		}
	}
}
