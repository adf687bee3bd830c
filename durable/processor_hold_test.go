package durable

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/ThreeDotsLabs/watermill/message"
)

// A delivery that is retried must not keep what was fetched with it in memory: MaxInFlightBytes would not hold.
func TestRetryDoesNotKeepItsBatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		h := func(msg *message.Message) error {
			if msg.UUID == "1" {
				return RetryAfter(errors.New("again"), time.Hour)
			}
			return nil
		}
		claim := NewClaim(t.Context(), "t", 0, 1)
		other := func() weak.Pointer[message.Message] { // keeps nothing else of the batch
			ds := deliveries(claim, 1, "a", "b", "c")
			f.feed <- ds
			return weak.Make(ds[1].Message)
		}()
		p := start(f, h, ProcessOptions{})
		time.Sleep(time.Minute)
		f.feed <- deliveries(claim, 4, "d") // takes the place of the first batch in the fake
		time.Sleep(time.Minute)
		f.mu.Lock()
		if len(f.acked) != 3 {
			t.Errorf("acked %d deliveries, want 3", len(f.acked))
		}
		clear(f.acked)
		f.acked = nil
		f.mu.Unlock()
		synctest.Wait()
		runtime.GC()
		runtime.GC()
		if other.Value() != nil {
			t.Error("an acknowledged message of the batch is still in memory")
		}
		wantNil(t, "Process", p.end())
	})
}

// An Ack that ignores its context does not keep Process from closing the consumer and returning.
func TestAckThatHangsIsLeftBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &hangingAck{fake: newFake(AckEach), release: make(chan struct{})}
		f.feed <- deliveries(NewClaim(t.Context(), "t", 0, 1), 1, "a")
		p := start(f, nothing, ProcessOptions{})
		synctest.Wait()
		if err := p.end(); err == nil || !strings.Contains(err.Error(), "acknowledging") {
			t.Errorf("got %v, want an error about acknowledging", err)
		}
		if !f.closed {
			t.Error("the consumer was not closed")
		}
		close(f.release)
	})
}

// hangingAck is a fake whose Ack waits for release alone.
type hangingAck struct {
	*fake
	release chan struct{}
}

func (f *hangingAck) Consume(context.Context, Group) (Consumer, error) { return f, nil }

func (f *hangingAck) Ack(context.Context, ...Delivery) error {
	<-f.release
	return nil
}
