package rediskit

import (
	"context"
	"testing"

	"github.com/dualstream/dualstream/internal/testenv"
)

func TestABatchThatIsDroppedLeavesNoBytesInTheQueue(t *testing.T) {
	w := loneWriter(t, testenv.Redis(t))
	b := NewBatch(make([]byte, directBytes+1), 1)
	if err := w.post(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if fate, err := w.await(ctx, b); fate != NotSent || err == nil {
		t.Errorf("got fate %d, %v, want not sent", fate, err)
	}
	if queued := <-w.queue; queued != b || queued.Wire != nil {
		t.Errorf("got %d bytes in the queue, want none", len(queued.Wire))
	}
}
