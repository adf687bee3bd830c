package realtimetest

import (
	"context"
	"testing"
	"time"

	"github.com/dualstream/dualstream/realtime"
)

// breakable is a bus of one subscription whose connection can be broken. What is sent while it is broken is not
// lost, which no check asks for.
type breakable struct {
	realtime.Backend
	broken chan struct{} // room for one
	hide   bool          // the fault: no gap is told
}

func (b *breakable) Subscribe(ctx context.Context, channels ...string) (realtime.Subscription, error) {
	s, err := b.Backend.Subscribe(ctx, channels...)
	if err != nil {
		return nil, err
	}
	return &subscription{Subscription: s, next: func(ctx context.Context) (realtime.Signal, error) {
		select {
		case <-b.broken:
			if !b.hide {
				return realtime.Signal{Gap: realtime.GapReconnect}, nil
			}
		default:
		}
		return s.Next(ctx)
	}}, nil
}

func TestAHiddenBreakIsCaught(t *testing.T) {
	runs := 3
	if soak() {
		runs = 20
	}
	for range runs {
		for _, hide := range []bool{false, true} {
			broken := make(chan struct{}, 1)
			r := observe(t, checkNamed(t, "Gap/IsToldAfterABrokenConnection"), Harness{
				New:      func(testing.TB) realtime.Backend { return &breakable{newMemory(t), broken, hide} },
				Break:    func(testing.TB) { broken <- struct{}{} },
				Patience: 200 * time.Millisecond,
			})
			if r.Failed() != hide {
				t.Fatalf("a bus that hides its gaps (%v): failed %v: %s", hide, r.Failed(), r)
			}
		}
	}
}
