package memory_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
)

// worker handles what it fetches, one after the other, until stop is closed; then it leaves.
type worker struct {
	name    string
	c       durable.Consumer
	history *durabletest.History
	handled *atomic.Int64
}

func (w *worker) run(ctx context.Context) error {
	for {
		ds, err := w.c.Fetch(ctx, 16)
		if err != nil && ctx.Err() != nil {
			return w.c.Close(context.Background())
		}
		if err != nil {
			return err
		}
		for _, d := range ds {
			if err := w.handle(d); err != nil {
				return err
			}
		}
	}
}

func (w *worker) handle(d durable.Delivery) error {
	select {
	case <-d.Claim.Draining():
		w.c.Release(d)
		return nil
	default:
	}
	finish := w.history.Started(w.name, d.Key, d.Message.UUID)
	finish()
	w.handled.Add(1)
	return w.c.Ack(context.Background(), d)
}

func TestMembersComeAndGoWithoutLossDisorderOrTwoOwners(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	b := newBackend(t, memory.Config{Partitions: 5})
	var history durabletest.History
	var handled atomic.Int64
	var wg sync.WaitGroup
	start := func(name string) (leave func()) {
		c, err := b.Consume(ctx, durable.Group{Name: "g", Topics: durable.Topics("orders")})
		if err != nil {
			t.Fatal(err)
		}
		life, end := context.WithCancel(ctx)
		w := &worker{name: name, c: c, history: &history, handled: &handled}
		wg.Go(func() {
			if err := w.run(life); err != nil && !errors.Is(err, durable.ErrClosed) {
				t.Error(err)
			}
		})
		return end
	}
	end := start("steady")
	defer wg.Wait()
	defer end()
	total := int64(0)
	for round := range 30 {
		leave := start(fmt.Sprintf("guest-%d", round))
		msgs := numbered(200)
		for _, m := range msgs {
			m.UUID = fmt.Sprintf("%d-%s", round, m.UUID)
			history.Appended(durable.Key(m), m.UUID)
		}
		if _, err := b.Append(ctx, "orders", msgs...); err != nil {
			t.Fatal(err)
		}
		total += int64(len(msgs))
		await(ctx, t, func() bool { return handled.Load() >= total-100 })
		leave()
	}
	await(ctx, t, func() bool { return handled.Load() >= total })
	report := history.Check(durabletest.Promise{Ordered: true, Exclusive: true, Once: true})
	if err := report.Err(); err != nil {
		t.Error(err)
	}
}

// await polls until cond holds or ctx ends.
func await(ctx context.Context, t *testing.T, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("waited in vain")
		}
	}
}
