package durabletest

import (
	"context"

	"github.com/dualstream/dualstream/durable"
)

func handOverChecks() []check {
	attempts := func(a abilities, _ Harness) bool { return a.Groups && a.AttemptCount }
	return []check{
		{Name: "Consume/WhatIsNotAckedGoesToTheNextMember", Needs: groups, Run: redelivers},
		{Name: "Consume/WhatIsAckedDoesNotComeAgain", Needs: groups, Run: ackedStays},
		{Name: "Consume/CountsAttemptsAcrossMembers", Needs: attempts, Run: countsAttempts},
		{Name: "Ack/OfALostClaimIsIgnored", Needs: groups, Run: lateAck},
		{Name: "Consume/HandsAClaimOverOnlyWhenItsDeliveriesAreFinished", Needs: ordered, Run: twoPhase},
	}
}

func redelivers(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	all := messages("m", e.most(20), 4)
	e.append(b, topic, all...)
	c := e.join(b, e.group(topic))
	e.hold(c, len(all))
	e.leave(c)
	again := e.collect(e.join(b, e.group(topic)), len(all))
	e.once(deliveryIDs(again), all)
	e.inOrder(deliveryIDs(again), all)
}

func ackedStays(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	e.append(b, topic, messages("m", 20, 4)...)
	c := e.join(b, e.group(topic))
	e.ack(c, e.collect(c, 20))
	e.leave(c)
	after := messages("after", 4, 4)
	e.append(b, topic, after...)
	c = e.join(b, e.group(topic))
	e.once(deliveryIDs(e.collect(c, 4)), after)
}

func countsAttempts(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	e.append(b, topic, messages("m", 3, 1)...)
	for attempt := 1; attempt <= 3; attempt++ {
		c := e.join(b, e.group(topic))
		for _, d := range e.collect(c, 3) {
			if d.Attempt != attempt {
				e.Errorf("message %s: got attempt %d, want %d", id(d.Message), d.Attempt, attempt)
			}
		}
		e.leave(c)
	}
}

func lateAck(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	all := messages("m", e.most(6), 2)
	e.append(b, topic, all...)
	old := e.join(b, e.group(topic))
	late := e.hold(old, len(all))
	e.leave(old)
	next := e.join(b, e.group(topic))
	e.hold(next, len(all))
	if err := e.Within("Ack of a lost claim", func(ctx context.Context) error { return old.Ack(ctx, late...) }); err != nil {
		e.Errorf("Ack of a lost claim: got %v, want nil", err)
	}
	e.leave(next)
	e.once(deliveryIDs(e.collect(e.join(b, e.group(topic)), len(all))), all)
}

func twoPhase(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	all := messages("m", 16*e.Partitions, 4*e.Partitions)
	e.append(b, topic, all...)
	old := e.join(b, e.group(topic))
	held := e.collect(old, len(all))
	claims := map[int]*durable.Claim{}
	for _, d := range held {
		claims[d.Claim.Partition()] = d.Claim
	}
	ctx, stop := context.WithCancel(e.Ctx)
	defer stop()
	got := make(chan []durable.Delivery, 1) // the first that the new member gets
	joined := e.join(e.open(), e.group(topic))
	go func() {
		defer close(got)
		for ctx.Err() == nil {
			if ds, err := joined.Fetch(ctx, 100); err == nil && len(ds) > 0 {
				got <- ds
				return
			}
		}
	}()
	moving := e.awaitDraining(claims)
	if early := e.firstWithin(got); len(early) > 0 {
		e.Errorf("partition %d went to the next owner while deliveries of the old one run", early[0].Claim.Partition())
	}
	finished := map[string]bool{} // under claims that are held: a member that stood still may have lost its own
	for _, d := range held {
		finished[id(d.Message)] = !d.Claim.Lost()
	}
	e.ack(old, held)
	wait, cancel := e.Soon()
	defer cancel()
	fresh := messages("fresh", 16*e.Partitions, 4*e.Partitions)
	e.append(b, topic, fresh...)
	select {
	case ds := <-got:
		for _, d := range ds {
			if finished[id(d.Message)] {
				e.Errorf("message %s went to the next owner while the old one held it", id(d.Message))
			}
			if claims[d.Claim.Partition()] == nil || !claims[d.Claim.Partition()].Lost() {
				e.Errorf("partition %d has two owners", d.Claim.Partition())
			}
		}
	case <-wait.Done():
		e.Errorf("partition %d was never handed over", moving.Partition())
	}
	stop()
	for range got {
		continue
	}
}

// awaitDraining waits until one of claims must be given up.
func (e *env) awaitDraining(claims map[int]*durable.Claim) *durable.Claim {
	e.Helper()
	ctx, cancel := e.Soon()
	defer cancel()
	found := make(chan *durable.Claim, len(claims)) // one each
	for _, c := range claims {
		go func() {
			select {
			case <-c.Draining():
				found <- c
			case <-ctx.Done():
			}
		}()
	}
	select {
	case c := <-found:
		return c
	case <-ctx.Done():
		e.Fatalf("no claim began to drain after a second member joined")
		return nil
	}
}

// firstWithin is what comes from got within Quiet.
func (e *env) firstWithin(got <-chan []durable.Delivery) []durable.Delivery {
	ctx, cancel := context.WithTimeout(e.Ctx, e.Quiet)
	defer cancel()
	select {
	case ds := <-got:
		return ds
	case <-ctx.Done():
		return nil
	}
}
