package durabletest

import (
	"context"
	"errors"

	"github.com/dualstream/dualstream/durable"
)

func consumeChecks() []check {
	foreign := func(a abilities, h Harness) bool { return a.Groups && h.Foreign != nil }
	return []check{
		{Name: "Consume/DeliversEveryMessageInOrderWithItsFields", Needs: groups, Run: consumeAll},
		{Name: "Consume/StoresTheStartBeforeTheFirstEvent", Needs: newest, Run: consumeNewest},
		{Name: "Consume/RefusesAnInvalidGroup", Needs: groups, Run: consumeInvalid},
		{Name: "Consume/ADeliveryMayBeChanged", Needs: groups, Run: consumeOwnership},
		{Name: "Consume/AForeignEntryNeverEndsASubscription", Needs: foreign, Run: consumeForeign},
		{Name: "Fetch/EndsWithItsContextAndGivesAtMostMax", Needs: groups, Run: fetchContext},
		{Name: "Release/IsFetchedAgain", Needs: groups, Run: releaseAgain},
	}
}

func consumeAll(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	all := messages("m", 60, 6)
	ps := e.append(b, topic, all...)
	where := map[string]durable.Position{}
	for i, m := range all {
		where[id(m)] = ps[i]
	}
	c := e.join(b, e.group(topic))
	ds := e.collect(c, len(all))
	ds = append(ds, e.quiet(c)...)
	e.once(deliveryIDs(ds), all)
	e.inOrder(deliveryIDs(ds), all)
	for _, d := range ds {
		if d.Claim == nil {
			e.Fatalf("message %s: the claim is nil", id(d.Message))
		}
		if d.Topic != topic || d.Claim.Topic() != topic || d.Claim.Lost() {
			e.Errorf("got topic %q, claim of %q, lost %v; want %q and a held claim", d.Topic, d.Claim.Topic(), d.Claim.Lost(), topic)
		}
		if d.Key != durable.Key(d.Message) || d.Position != where[id(d.Message)] || d.Attempt != 1 {
			e.Errorf("message %s: got key %q, position %q, attempt %d", id(d.Message), d.Key, d.Position, d.Attempt)
		}
	}
	e.ack(c, ds)
}

func consumeNewest(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	e.append(b, topic, messages("before", 3, 1)...)
	g := e.group(topic)
	g.Start = durable.Newest()
	e.leave(e.join(b, g))
	after := messages("after", 3, 1)
	e.append(b, topic, after...)
	c := e.join(b, g)
	e.once(deliveryIDs(e.collect(c, 3)), after)
}

func consumeInvalid(e *env) {
	b := e.open()
	for _, g := range []durable.Group{{}, {Name: "g"}, {Name: "g g", Topics: durable.Topics("t")}, {Name: "g", Topics: durable.Topics("")}} {
		if _, err := b.Consume(e.Ctx, g); !errors.Is(err, durable.ErrInvalid) {
			e.Errorf("group %+v: got %v, want ErrInvalid", g, err)
		}
	}
}

func consumeOwnership(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	all := messages("m", 2, 1)
	e.append(b, topic, all...)
	for _, name := range []string{"one-", "two-"} {
		g := e.group(topic)
		g.Name = name + topic
		ds := e.collect(e.join(b, g), 2)
		for i, d := range ds {
			if string(d.Message.Payload) != string(all[i].Payload) || d.Message.Metadata["mine"] != "" {
				e.Errorf("group %s sees what another changed: %+v", name, d.Message)
			}
			d.Message.Payload[0] = '!'
			d.Message.Metadata["mine"] = "x"
		}
	}
}

func consumeForeign(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	e.Foreign(e.TB, topic)
	e.append(b, topic, messages("m", 1, 1)...)
	c := e.join(b, e.group(topic))
	ds := e.collect(c, 2)
	if ds[0].DecodeErr == nil || ds[0].Message == nil {
		e.Errorf("the foreign entry: got %+v, want a DecodeErr and its payload", ds[0])
	}
	if got := ds[len(ds)-1]; id(got.Message) != "m-0" || got.DecodeErr != nil {
		e.Errorf("after the foreign entry: got %+v, want m-0", got)
	}
	e.ack(c, ds)
}

func fetchContext(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	c := e.join(b, e.group(topic))
	err := e.Within("Fetch of an empty topic", func(context.Context) error {
		ctx, cancel := context.WithTimeout(e.Ctx, e.Quiet)
		defer cancel()
		_, err := c.Fetch(ctx, 1)
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		e.Fatalf("got %v, want context.DeadlineExceeded", err)
	}
	e.append(b, topic, messages("m", 5, 1)...)
	ctx, cancel := e.Soon()
	defer cancel()
	ds, err := c.Fetch(ctx, 2)
	for err != nil && ctx.Err() == nil {
		e.Logf("Fetch: %v (transient)", err)
		ds, err = c.Fetch(ctx, 2)
	}
	if err != nil || len(ds) < 1 || len(ds) > 2 {
		e.Errorf("Fetch of at most 2: got %d and %v", len(ds), err)
	}
}

func releaseAgain(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	all := messages("m", e.most(4), 1)
	e.append(b, topic, all...)
	c := e.join(b, e.group(topic))
	c.Release(e.hold(c, len(all))...)
	again := e.collect(c, len(all))
	e.once(deliveryIDs(again), all)
	e.inOrder(deliveryIDs(again), all)
	e.ack(c, again)
}
