package durabletest

import (
	"context"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// pauseOne has one of two claims paused and resumed, under each ordering. It asks nothing of a consumer that is no
// Pauser.
func pauseOne(e *env) {
	b := e.open()
	still, other := e.twoKeys(b)
	for _, ordering := range []durable.Ordering{durable.PerKey, durable.None} {
		topic := e.NewTopic(e.TB, 2)
		g := group(topic, ordering)
		c := e.join(b, g)
		p, can := c.(durable.Pauser)
		if !can {
			continue
		}
		e.append(b, topic, append(keyed("still", still, 3), keyed("other", other, 3)...)...)
		first := e.collect(c, 6)
		e.ack(c, first)
		var paused *durable.Claim
		for _, d := range first {
			if d.Key == still {
				paused = d.Claim
			}
		}
		if n := p.Claims(); n != 2 {
			e.Errorf("Claims: got %d, want 2", n)
		}
		for range 2 {
			p.Pause(paused)
		}
		const n = 20
		late := keyed("late", still, n)
		e.append(b, topic, late...)
		e.append(b, topic, keyed("free", other, n)...)
		e.once(deliveryIDs(append(e.collect(c, n), e.quiet(c)...)), keyed("free", other, n))
		for range 2 {
			p.Resume(paused)
		}
		e.asStored(append(e.collect(c, n), e.quiet(c)...), late)
		e.leave(c)
	}
}

// pauseOften has claims paused and resumed all the time while they are fetched from, under each ordering. It asks nothing
// of a consumer that is no Pauser.
func pauseOften(e *env) {
	b := e.open()
	one, two := e.twoKeys(b)
	for _, ordering := range []durable.Ordering{durable.PerKey, durable.None} {
		topic := e.NewTopic(e.TB, 2)
		c := e.join(b, group(topic, ordering))
		p, can := c.(durable.Pauser)
		if !can {
			continue
		}
		const n = 200
		first, more := append(keyed("one", one, n), keyed("two", two, n)...), append(keyed("more", one, n), keyed("most", two, n)...)
		e.append(b, topic, first...)
		got := e.pairs(c, 2*n) // so that the claims are known
		claims := map[*durable.Claim]bool{}
		for _, d := range got {
			claims[d.Claim] = true
		}
		var flicker sync.WaitGroup
		ctx, stop := context.WithCancel(e.Ctx)
		begun := make(chan struct{})
		begin := sync.OnceFunc(func() { close(begun) })
		flicker.Go(func() {
			defer begin() // also where the time of the check is over before
			for round := 0; ctx.Err() == nil; round++ {
				for claim := range claims {
					p.Pause(claim)
					p.Resume(claim)
				}
				if round == 10 {
					begin()
				}
			}
		})
		<-begun
		e.append(b, topic, more...)
		got = e.pairs(c, 2*n)
		stop()
		flicker.Wait()
		e.once(deliveryIDs(append(got, e.quiet(c)...)), more)
		e.leave(c)
	}
}

// pairs fetches and acknowledges at most two at a time, until n have come or it takes too long.
func (e *env) pairs(c durable.Consumer, n int) (out []durable.Delivery) {
	ctx, cancel := e.Soon()
	defer cancel()
	for len(out) < n && ctx.Err() == nil {
		ds, err := c.Fetch(ctx, 2)
		if err != nil && ctx.Err() == nil {
			e.Logf("Fetch: %v (transient)", err)
		}
		out = append(out, ds...)
		if len(ds) > 0 {
			e.ack(c, ds)
		}
	}
	return out
}

func group(topic string, ordering durable.Ordering) durable.Group {
	return durable.Group{Name: fmt.Sprintf("group-%d-%s", ordering, topic), Topics: durable.Topics(topic), Ordering: ordering}
}

// asStored fails the test unless got is want, one after the other.
func (e *env) asStored(got []durable.Delivery, want []*message.Message) {
	e.Helper()
	if len(got) != len(want) {
		e.Errorf("got %d deliveries, want %d", len(got), len(want))
		return
	}
	for i, d := range got {
		if id(d.Message) != id(want[i]) {
			e.Errorf("at %d: got %s, want %s", i, id(d.Message), id(want[i]))
		}
	}
}
