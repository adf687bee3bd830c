package memory

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// A partition whose window is full stops neither its siblings nor the member.
func TestAStuckPartitionLeavesItsSiblingsGoing(t *testing.T) {
	b, err := New(Config{Partitions: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.Background()) }()
	const each = 500
	stuck, other := keyIn(0), keyIn(1)
	for i := range each {
		for _, key := range []string{stuck, other} {
			msg := message.NewMessage(fmt.Sprint(i), nil)
			msg.Metadata.Set(durable.MetaPartitionKey, key)
			if _, err := b.Append(t.Context(), "t", msg); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	free := make(chan struct{})
	var ofStuck, ofOther atomic.Int64
	err = durable.Process(ctx, b, durable.Group{Name: "g", Topics: durable.Topics("t")}, func(msg *message.Message) error {
		if durable.Key(msg) == other {
			if ofOther.Add(1) == each {
				close(free)
			}
			return nil
		}
		select {
		case <-free:
		case <-msg.Context().Done():
		}
		if ofStuck.Add(1) == each {
			stop()
		}
		return nil
	}, durable.ProcessOptions{MaxInFlight: 64, FetchSize: 16})
	if err != nil || ofOther.Load() != each || ofStuck.Load() != each {
		t.Errorf("got %v, %d of the stuck partition and %d of the other, want %d of each", err, ofStuck.Load(), ofOther.Load(), each)
	}
}

// keyIn is a key that is placed in partition p of two.
func keyIn(p int) string {
	for i := 0; ; i++ {
		if key := fmt.Sprint("key-", i); durable.Partition(key, 2) == p {
			return key
		}
	}
}
