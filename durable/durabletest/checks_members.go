package durabletest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/dualstream/dualstream/durable"
)

func memberChecks() []check {
	alone := func(a abilities, _ Harness) bool { return a.Groups && !a.OrderedGroup }
	return []check{
		{Name: "Consume/KeepsAKeyInOrderWhileMembersComeAndGo", Needs: ordered, Run: churn},
		{Name: "Consume/RefusesASecondMemberThatWouldBreakOrder", Needs: alone, Run: secondMember},
	}
}

// churn has members come and leave amid messages, and holds what they recorded against every promise of an ordered
// group whose members leave in peace: nothing is lost or repeated, and a key has one handler at a time, in order.
func churn(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	g := e.group(topic)
	g.Start = durable.Oldest()
	e.leave(e.join(b, g))
	ctx, stop := e.Soon()
	defer stop()
	var h History
	var members sync.WaitGroup
	work := func(member int, until func() bool) {
		c := e.join(e.open(), g)
		members.Go(func() {
			e.work(ctx, c, fmt.Sprintf("member-%d", member), &h, until)
			_ = e.Within("Close of a member", c.Close)
		})
	}
	const parts, each = 6, 40
	finished := func() bool { return ctx.Err() != nil || h.Check(Promise{}).Handled >= parts*each }
	work(0, finished)
	for part := range parts {
		all := messages(fmt.Sprintf("part%d", part), each, 2*e.Partitions)
		e.append(b, topic, all...)
		for _, m := range all {
			h.Appended(durable.Key(m), id(m))
		}
		if part%2 == 1 {
			work(part, func() bool { return finished() || h.Check(Promise{}).Handled >= part*each })
		}
	}
	members.Wait()
	if err := h.Check(Promise{Once: true, Ordered: true, Serial: true}).Err(); err != nil {
		e.Error(err)
	}
}

// work handles what c fetches, one after the other, until the condition holds after an acknowledgement.
func (e *env) work(ctx context.Context, c durable.Consumer, name string, h *History, until func() bool) {
	for !until() {
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
	}
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
