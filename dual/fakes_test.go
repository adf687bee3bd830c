package dual_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

var errFault = errors.New("fault")

func memoryStream(t *testing.T) *memory.Backend {
	t.Helper()
	b, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

// stored are the ids in topic.
func stored(t *testing.T, b durable.Backend, topic string) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	for r, err := range b.Replay(t.Context(), topic, durable.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids[r.Message.Metadata.Get(durable.MetaID)] = true
	}
	return ids
}

// flaky stores what it likes of a batch.
type flaky struct {
	durable.Backend
	mu  sync.Mutex
	rng *rand.Rand
}

func (f *flaky) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rng.IntN(8) == 0 {
		return nil, errFault // says nothing about any message
	}
	positions := make([]durable.Position, len(msgs))
	out := durable.FailAll(topic, len(msgs), durable.NotSent, errFault)
	failed := false
	for i, msg := range msgs {
		status := durable.Status(f.rng.IntN(4))
		if status == durable.Stored || status == durable.Unknown && f.rng.IntN(2) == 0 {
			p, err := f.Backend.Append(ctx, topic, msg)
			if err != nil {
				return nil, err
			}
			positions[i] = p[0]
		}
		out.Outcomes[i].Status = status
		if status == durable.Stored {
			out.Outcomes[i].Err = nil
		}
		failed = failed || status != durable.Stored
	}
	if failed {
		return positions, out
	}
	return positions, nil
}

// recorder is a real-time bus that notes what it gets; where block is set, Notify waits for it or its ctx.
type recorder struct {
	block chan struct{}
	mu    sync.Mutex
	got   []realtime.Notification
}

func (r *recorder) Notify(ctx context.Context, ns ...realtime.Notification) error {
	if r.block != nil {
		select {
		case <-r.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, ns...)
	return nil
}

func (r *recorder) notifications() []realtime.Notification {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]realtime.Notification(nil), r.got...)
}

func (r *recorder) Subscribe(context.Context, ...string) (realtime.Subscription, error) {
	return nil, realtime.ErrUnsupported
}

func (r *recorder) Capabilities() realtime.Capabilities {
	return realtime.Capabilities{Backend: "recorder"}
}

func (r *recorder) Close(context.Context) error { return nil }
