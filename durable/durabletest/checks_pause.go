package durabletest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

func pauseChecks() []check {
	spread := func(a abilities, h Harness) bool { return a.OrderedGroup && a.Partitions && h.Partitions != 1 }
	return []check{
		{Name: "Pause/AFullPartitionStopsNeitherItsSiblings", Needs: spread, Run: fullPartition},
		{Name: "Pause/HoldsOneClaimBackUntilItIsResumed", Needs: spread, Run: pauseOne},
		{Name: "Pause/LosesNothingHoweverOften", Needs: spread, Run: pauseOften},
	}
}

// fullPartition has one partition fill its part of the window of Process with a backlog that does not move, and then
// stores in another one from which nothing was fetched until then. It asks nothing of a consumer that is no Pauser.
func fullPartition(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 2)
	g := e.group(topic)
	g.Start, g.Ordering = durable.Oldest(), durable.PerKey
	c := e.join(b, g)
	_, can := c.(durable.Pauser)
	e.leave(c)
	if !can {
		return
	}
	stuck, other := e.twoKeys(b)
	e.append(b, topic, keyed("stuck", stuck, 100)...)
	ctx, stop := e.Soon()
	defer stop()
	free := make(chan struct{})
	var mu sync.Mutex
	var order []string
	var m durable.Monitor
	done := make(chan error, 1) // what Process returns
	end := func() error {
		stop()
		return e.Within("Process, whose context ended", func(ctx context.Context) error {
			select {
			case err := <-done:
				done <- err
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}
	defer func() { _ = end() }() // also where the check ends early
	go func() {
		done <- durable.Process(ctx, b, g, func(msg *message.Message) error {
			d, _ := durable.DeliveryOf(msg.Context())
			if d.Key == stuck {
				select {
				case <-free:
				case <-msg.Context().Done():
					return durable.Release(context.Cause(msg.Context()))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			order = append(order, id(msg))
			return nil
		}, durable.ProcessOptions{MaxInFlight: 32, FetchSize: 4, Monitor: &m})
	}()
	handled := func(n int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(order) == n
		}
	}
	e.until(ctx, "the part of the window to fill", func() bool { return m.Stats().Total().InFlight > 16 })
	e.append(b, topic, keyed("other", other, 100)...)
	e.until(ctx, "the sibling to be handled", handled(100))
	close(free)
	e.until(ctx, "everything to be handled", handled(200))
	if err := end(); err != nil {
		e.Errorf("Process: got %v, want nil", err)
	}
	for i, got := range order[100:] {
		if want := fmt.Sprintf("stuck-%d", i); got != want {
			e.Fatalf("the partition that was full: got %s as number %d, want %s", got, i, want)
		}
	}
}

// twoKeys are two keys of different partitions of a topic of two.
func (e *env) twoKeys(b durable.Backend) (one, other string) {
	topic := e.NewTopic(e.TB, 2)
	e.append(b, topic, messages("m", 16, 16)...)
	at := map[int]string{}
	for _, d := range e.collect(e.join(b, e.group(topic)), 16) {
		at[d.Claim.Partition()] = d.Key
	}
	if len(at) != 2 {
		e.Fatalf("16 keys in %d partitions of 2", len(at))
	}
	return at[0], at[1]
}

// keyed makes n messages of one key.
func keyed(prefix, key string, n int) []*message.Message {
	out := messages(prefix, n, 1)
	for _, msg := range out {
		msg.Metadata[durable.MetaPartitionKey] = key
	}
	return out
}

// until awaits cond.
func (e *env) until(ctx context.Context, what string, cond func() bool) {
	e.Helper()
	t := time.NewTicker(time.Millisecond)
	defer t.Stop()
	for !cond() {
		select {
		case <-t.C:
		case <-ctx.Done():
			if cond() { // the process may have stood still since the last look
				return
			}
			e.Fatalf("waiting for %s: %v", what, ctx.Err())
		}
	}
}
