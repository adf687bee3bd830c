package durable

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
)

// weighed notes the most bytes and events that were in the backend's hands at once.
type weighed struct {
	*fake
	mu                    sync.Mutex
	events, bytes         int
	mostEvents, mostBytes int
	stored                int
}

func (w *weighed) Append(_ context.Context, _ string, msgs ...*message.Message) ([]Position, error) {
	size := 0
	for _, m := range msgs {
		size += Size(m)
	}
	w.weigh(len(msgs), size)
	_ = pause(context.Background(), 1)
	w.weigh(-len(msgs), -size)
	return make([]Position, len(msgs)), nil
}

func (w *weighed) weigh(events, bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events += events
	w.bytes += bytes
	w.mostEvents, w.mostBytes = max(w.mostEvents, w.events), max(w.mostBytes, w.bytes)
	w.stored += max(0, events)
}

// Whatever the sizes are, neither bound is exceeded at any moment, and both are used.
func TestWhatIsInFlightIsBoundedInBytesWhateverTheirSizes(t *testing.T) {
	const callers, calls = 64, 20
	for _, c := range []struct{ events, bytes, most int }{
		{events: 10_000, bytes: 100_000, most: 20_000}, // bytes are what bounds
		{events: 40, bytes: 1 << 30, most: 20_000},     // events are
	} {
		bubble(t, func(t *testing.T) {
			w := &weighed{fake: newFake(AckEach)}
			p := publisher(t, w, PublisherOptions{MaxInFlight: c.events, MaxInFlightBytes: c.bytes, Wait: 1 << 40})
			var wg sync.WaitGroup
			sent := make([]int, callers)
			for i := range callers {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(i), 1))
					for range calls {
						msgs := make([]*message.Message, 1+rng.IntN(4))
						for k := range msgs {
							msgs[k] = message.NewMessage(strconv.Itoa(k), make([]byte, rng.IntN(c.most)))
						}
						sent[i] += len(msgs)
						wantNil(t, "Publish", p.Publish("t", msgs...))
					}
				})
			}
			wg.Wait()
			total := 0
			for _, n := range sent {
				total += n
			}
			if w.mostEvents > c.events || w.mostBytes > c.bytes || w.stored != total {
				t.Errorf("at most %d events and %d bytes in flight, want %d and %d; stored %d of %d",
					w.mostEvents, w.mostBytes, c.events, c.bytes, w.stored, total)
			}
			if w.mostEvents < c.events/2 && w.mostBytes < c.bytes/2 {
				t.Errorf("at most %d events and %d bytes in flight: the bounds are not used", w.mostEvents, w.mostBytes)
			}
			if s := p.Stats(); s.InFlight != 0 || s.InFlightBytes != 0 || s.Waiting != 0 {
				t.Errorf("at the end: %+v", s)
			}
		})
	}
}
