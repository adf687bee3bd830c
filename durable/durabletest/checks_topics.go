package durabletest

import (
	"context"
	"slices"

	"github.com/dualstream/dualstream/durable"
)

func topicChecks() []check {
	later := func(a abilities, h Harness) bool { return dynamic(a, h) && newest(a, h) }
	return []check{
		{Name: "SetTopics/AddsATopicWhileRunning", Needs: dynamic, Run: addTopic},
		{Name: "SetTopics/StartsANewTopicAsItsStartSays", Needs: later, Run: addTopicNewest},
		{Name: "SetTopics/RemovesATopicAndLeavesTheOthers", Needs: dynamic, Run: removeTopic},
		{Name: "SetTopics/ATopicThatComesBackGoesOnWhereItWas", Needs: dynamic, Run: topicComesBack},
	}
}

// setTopics fails the test unless the topics of c become ts.
func (e *env) setTopics(c durable.Consumer, ts ...durable.TopicStart) {
	e.Helper()
	e.Do("SetTopics", func(ctx context.Context) error { return c.SetTopics(ctx, ts...) })
}

func addTopic(e *env) {
	b, first, second := e.open(), e.NewTopic(e.TB, 1), e.NewTopic(e.TB, 1)
	one, two := messages("one", 2, 1), messages("two", 2, 1)
	e.append(b, first, one...)
	e.append(b, second, two...)
	c := e.join(b, e.group(first))
	e.ack(c, e.collect(c, 2))
	e.setTopics(c, durable.Topics(first, second)...)
	e.once(deliveryIDs(e.collect(c, 2)), two)
}

func addTopicNewest(e *env) {
	b, first, second := e.open(), e.NewTopic(e.TB, 1), e.NewTopic(e.TB, 1)
	e.append(b, second, messages("passed", 3, 1)...)
	c := e.join(b, e.group(first))
	e.setTopics(c, durable.TopicStart{Topic: first}, durable.TopicStart{Topic: second, Start: durable.Newest()})
	later := messages("later", 2, 1)
	e.append(b, second, later...)
	e.once(deliveryIDs(append(e.collect(c, 2), e.quiet(c)...)), later)
}

func removeTopic(e *env) {
	b, first, second := e.open(), e.NewTopic(e.TB, 1), e.NewTopic(e.TB, 1)
	g := e.group(first)
	g.Topics = durable.Topics(first, second)
	c := e.join(b, g)
	e.setTopics(c, durable.Topics(second)...)
	stays := messages("stays", 3, 1)
	e.append(b, first, messages("removed", 3, 1)...)
	e.append(b, second, stays...)
	ds := append(e.collect(c, 3), e.quiet(c)...)
	e.once(deliveryIDs(ds), stays)
	e.ack(c, ds)
}

func topicComesBack(e *env) {
	b, first, second := e.open(), e.NewTopic(e.TB, 1), e.NewTopic(e.TB, 1)
	g := e.group(first)
	g.Topics = durable.Topics(first, second)
	c := e.join(b, g)
	e.append(b, first, messages("done", 2, 1)...)
	e.ack(c, e.collect(c, 2))
	e.setTopics(c, durable.Topics(second)...)
	missed := messages("missed", 2, 1)
	e.append(b, first, missed...)
	e.setTopics(c, durable.Topics(first, second)...)
	got := deliveryIDs(append(e.collect(c, 2), e.quiet(c)...))
	slices.Sort(got)
	e.once(slices.Compact(got), missed) // one may have come before its claim was given up, and comes again
}
