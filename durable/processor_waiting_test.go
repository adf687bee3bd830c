package durable

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// told is a fake that keeps the group that it was asked for.
type told struct {
	*fake
	groups chan Group
}

func (f *told) Consume(_ context.Context, g Group) (Consumer, error) {
	f.groups <- g
	return f.fake, nil
}

func TestWaitingIsWhatNoFreeWorkerCouldHandle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := &told{newFake(AckEach), make(chan Group, 1)}
		c := NewClaim(context.Background(), "t", 0, 1)
		f.feed <- deliveries(c, 0, "bad", "bad", "bad", "park", "park", "slow", "slow", "slow", "ok", "ok")
		end := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- Process(ctx, f, Group{Name: "g", Topics: Topics("t")}, func(msg *message.Message) error {
				switch payload := string(msg.Payload); {
				case strings.HasPrefix(payload, "bad"):
					return errHandler
				case strings.HasPrefix(payload, "park"):
					return Park(errHandler)
				case strings.HasPrefix(payload, "slow"):
					<-end
				}
				return nil
			}, ProcessOptions{Concurrency: 2, Backoff: func(int, error) time.Duration { return time.Hour }})
		}()
		waiting := (<-f.groups).Waiting
		time.Sleep(100 * time.Millisecond)
		if n := waiting(); n != 5 {
			t.Errorf("got %d, want the retry, the parked one and what stands behind them", n)
		}
		time.Sleep(2 * longHandler)
		if n := waiting(); n != 8 {
			t.Errorf("got %d, want those of the handler that takes long, too", n)
		}
		f.feed <- deliveries(c, 20, "slow2")
		time.Sleep(time.Millisecond)
		if n := waiting(); n != 5 {
			t.Errorf("got %d while no worker is free, want what waits for a retry or is parked", n)
		}
		close(end)
		stop()
		wantNil(t, "Process", <-done)
		if n := waiting(); n != 0 {
			t.Errorf("got %d after the end, want none", n)
		}
	})
}
