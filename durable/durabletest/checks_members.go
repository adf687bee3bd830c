package durabletest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/dualstream/dualstream/durable"
)

func memberChecks() []check {
	alone := func(a abilities, _ Harness) bool { return a.Groups && !a.OrderedGroup }
	return []check{
		{Name: "Consume/KeepsAKeyInOrderWhileMembersComeAndGo", Needs: ordered, Run: churn},
		{Name: "Consume/RefusesASecondMemberThatWouldBreakOrder", Needs: alone, Run: secondMember},
	}
}

// churn has members come and leave amid messages, each once it has handled some, and holds what they recorded against
// every promise of an ordered group whose members leave in peace: nothing is lost or repeated, and a key has one handler
// at a time, in order.
func churn(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	g := e.group(topic)
	g.Start = durable.Oldest()
	e.leave(e.join(b, g))
	ctx, stop := context.WithCancel(e.Ctx) // it is many waits
	var h History
	var members sync.WaitGroup
	defer members.Wait() // also where the check ends early
	defer stop()
	var over atomic.Bool
	var sent, handled atomic.Int64
	finished := func() bool { return ctx.Err() != nil || over.Load() && handled.Load() >= sent.Load() }
	work := func(name string, until func(own int64) bool) (own *atomic.Int64) {
		c, own := e.join(e.open(), g), new(atomic.Int64)
		members.Go(func() {
			for !until(own.Load()) {
				n := e.handle(ctx, c, name, &h)
				own.Add(n)
				handled.Add(n)
			}
			_ = e.Within("Close of a member", c.Close)
		})
		return own
	}
	const guests, part = 3, 40
	more := func() {
		all := messages(fmt.Sprintf("from%d", sent.Load()), part, 2*e.Partitions)
		e.append(b, topic, all...)
		for _, m := range all {
			h.Appended(durable.Key(m), id(m))
		}
		sent.Add(part)
	}
	work("steady", func(int64) bool { return finished() })
	for guest := range guests {
		own := work(fmt.Sprintf("guest-%d", guest), func(own int64) bool { return finished() || own > 0 })
		for own.Load() == 0 && ctx.Err() == nil {
			more()
			e.until(ctx, "most to be handled", func() bool { return handled.Load() >= sent.Load()-part })
		}
	}
	over.Store(true)
	members.Wait()
	if err := h.Check(Promise{Once: true, Ordered: true, Serial: true}).Err(); err != nil {
		e.Error(err)
	}
}

// handle fetches some of c, handles them one after the other and acknowledges them. It returns how many there were.
func (e *env) handle(ctx context.Context, c durable.Consumer, name string, h *History) int64 {
	look, cancel := context.WithTimeout(ctx, e.Quiet)
	ds, err := c.Fetch(look, 10)
	cancel()
	if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
		e.Logf("Fetch: %v (transient)", err)
	}
	var done []durable.Delivery
	for _, d := range ds {
		if d.Claim.Lost() {
			continue
		}
		h.Started(name, d.Key, id(d.Message))()
		done = append(done, d)
	}
	e.ack(c, done)
	return int64(len(done))
}

func secondMember(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	g := e.group(topic)
	g.Ordering = durable.PerKey
	ctx, cancel := e.Soon()
	defer cancel()
	if _, err := b.Consume(ctx, g); errors.Is(err, durable.ErrUnsupported) {
		return // not even one
	}
	other := e.open()
	err := e.Within("Consume of a second member", func(ctx context.Context) error {
		c, err := other.Consume(ctx, g)
		if err != nil {
			return err
		}
		_, err = c.Fetch(ctx, 1)
		return errors.Join(err, c.Close(ctx))
	})
	if !errors.Is(err, durable.ErrUnsupported) {
		e.Errorf("got %v, want ErrUnsupported", err)
	}
}
