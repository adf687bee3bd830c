package durabletest

import (
	"fmt"

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
