package durabletest

import (
	"github.com/dualstream/dualstream/durable"
)

func startChecks() []check {
	timed := func(a abilities, _ Harness) bool { return a.Groups && a.Replay && a.StartAtTime }
	placed := func(a abilities, _ Harness) bool { return newest(a, Harness{}) && !a.NoPositions }
	spread := func(a abilities, _ Harness) bool { return a.Groups && a.Partitions }
	return []check{
		{Name: "Start/AfterAPosition", Needs: placed, Run: startAfter},
		{Name: "Start/AfterACursorBeginsOtherPartitionsAtTheirOldest", Needs: spread, Run: startAfterSome},
		{Name: "Start/AtATime", Needs: timed, Run: startAt},
		{Name: "Start/OfATopicWinsOverThatOfTheGroup", Needs: newest, Run: startOfTopic},
		{Name: "Start/IsThatOfNewGroupsAlone", Needs: groups, Run: startOnce},
	}
}

func startAfter(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	all := messages("m", 8, 2)
	ps := e.append(b, topic, all...)
	g := e.group(topic)
	g.Start = durable.After(durable.Cursor{0: ps[4]})
	c := e.join(b, g)
	e.once(deliveryIDs(append(e.collect(c, 3), e.quiet(c)...)), all[5:])
}

func startAfterSome(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	all := messages("m", 40, 8)
	e.append(b, topic, all...)
	reader := e.join(b, durable.Group{Name: "reader-" + topic, Topics: durable.Topics(topic)})
	whole := e.collect(reader, len(all))
	at := whole[0] // the first of its partition
	g := e.group(topic)
	g.Start = durable.After(durable.Cursor{at.Claim.Partition(): at.Position})
	want := all[:0:0]
	for _, m := range all {
		if id(m) != id(at.Message) {
			want = append(want, m)
		}
	}
	c := e.join(b, g)
	e.once(deliveryIDs(append(e.collect(c, len(want)), e.quiet(c)...)), want)
}

func startAt(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	e.append(b, topic, messages("one", 3, 1)...)
	e.append(b, topic, messages("two", 3, 1)...)
	stored := e.replay(b, topic, durable.Range{})
	if len(stored) != 6 {
		e.Fatalf("Replay: got %d records, want 6", len(stored))
	}
	at := stored[5].StoredAt
	var want []string
	for _, r := range stored {
		if !r.StoredAt.Before(at) {
			want = append(want, id(r.Message))
		}
	}
	g := e.group(topic)
	g.Start = durable.At(at)
	c := e.join(b, g)
	got := deliveryIDs(append(e.collect(c, len(want)), e.quiet(c)...))
	if len(got) != len(want) || got[0] != want[0] {
		e.Errorf("from the time of the last record: got %v, want %v", got, want)
	}
}

func startOfTopic(e *env) {
	b, old, fresh := e.open(), e.NewTopic(e.TB, 1), e.NewTopic(e.TB, 1)
	stored := messages("stored", 3, 1)
	e.append(b, old, stored...)
	e.append(b, fresh, messages("passed", 3, 1)...)
	g := e.group(old)
	g.Topics = []durable.TopicStart{{Topic: old, Start: durable.Oldest()}, {Topic: fresh}}
	g.Start = durable.Newest()
	c := e.join(b, g)
	later := messages("later", 2, 1)
	e.append(b, fresh, later...)
	e.once(deliveryIDs(append(e.collect(c, 5), e.quiet(c)...)), append(stored, later...))
}

func startOnce(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	first, second := messages("first", 2, 1), messages("second", 2, 1)
	e.append(b, topic, first...)
	g := e.group(topic)
	c := e.join(b, g)
	e.ack(c, e.collect(c, 2))
	e.leave(c)
	e.append(b, topic, second...)
	starts := []durable.Start{durable.Oldest()}
	if !e.Caps.OldestOnly {
		starts = append(starts, durable.Newest())
	}
	for _, start := range starts {
		g.Start = start
		c := e.join(b, g)
		e.once(deliveryIDs(append(e.hold(c, e.most(2)), e.quiet(c)...)), second[:e.most(2)])
		e.leave(c)
	}
}
