package realtimetest

import (
	"context"
	"testing"
	"time"

	"github.com/dualstream/dualstream/internal/conformance"
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

// breaking is a harness whose Break is told, or hidden.
func breaking(testing.TB) Harness {
	broken := make(chan struct{}, 1)
	return Harness{
		New:   func(t testing.TB) realtime.Backend { return &breakable{newMemory(t), broken, false} },
		Break: func(testing.TB) { broken <- struct{}{} },
	}
}

func hiddenBreak() conformance.Fault[Harness] {
	return conformance.Fault[Harness]{
		Name: "hides a broken connection", Check: "Gap/IsToldAfterABrokenConnection",
		Harness: func(t testing.TB) Harness {
			h := breaking(t)
			told := h.New
			h.Patience = 200 * time.Millisecond
			h.New = func(t testing.TB) realtime.Backend {
				b := told(t).(*breakable)
				b.hide = true
				return b
			}
			return h
		},
	}
}

func TestABreakThatIsToldPasses(t *testing.T) {
	s := suite()
	for range conformance.Runs(3, 100) {
		if r := s.Observe(t, s.Named(t, "Gap/IsToldAfterABrokenConnection"), breaking(t)); r.Failed() {
			t.Fatal(r)
		}
	}
}
