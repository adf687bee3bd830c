package durabletest

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

// fetches wraps a backend by a change of what is fetched.
func fetches(f func([]durable.Delivery) []durable.Delivery) func(testing.TB) func(durable.Backend) durable.Backend {
	return plain(func(next durable.Backend) durable.Backend { return deliveries(next, f) })
}

// each wraps a backend by a change of every delivery.
func each(f func(*durable.Delivery)) func(testing.TB) func(durable.Backend) durable.Backend {
	return fetches(func(ds []durable.Delivery) []durable.Delivery {
		for i := range ds {
			f(&ds[i])
		}
		return ds
	})
}

// joins wraps a backend by a change of its members.
func joins(f func(*consumer)) func(testing.TB) func(durable.Backend) durable.Backend {
	return plain(func(next durable.Backend) durable.Backend { return members(next, f) })
}

func groupFaults() []fault {
	const all = "Consume/DeliversEveryMessageInOrderWithItsFields"
	const next = "Consume/WhatIsNotAckedGoesToTheNextMember"
	const fetch = "Fetch/EndsWithItsContextAndGivesAtMostMax"
	return []fault{
		{name: "loses on redelivery", check: next, wrap: fetches(loseAgain)},
		{name: "deletes pending entries when a member leaves", check: next, wrap: joins(deletePending)},
		{
			name: "hands a claim over while handlers run", check: "Consume/HandsAClaimOverOnlyWhenItsDeliveriesAreFinished",
			cfg: memory.Config{DrainTimeout: 1}, wrap: plain(func(b durable.Backend) durable.Backend { return b }),
		},
		{name: "accepts an ack of an old epoch", check: "Ack/OfALostClaimIsIgnored", wrap: lateAcks},
		{name: "forgets the start of an idle group", check: "Consume/StoresTheStartBeforeTheFirstEvent", wrap: forgetStart},
		{name: "acks are not stored", check: "Consume/WhatIsAckedDoesNotComeAgain", wrap: joins(dropAcks)},
		{name: "attempts are not counted", check: "Consume/CountsAttemptsAcrossMembers", wrap: each(func(d *durable.Delivery) { d.Attempt = 1 })},
		{name: "delivers in reverse", check: all, wrap: fetches(func(ds []durable.Delivery) []durable.Delivery {
			slices.Reverse(ds)
			return ds
		})},
		{name: "wrong topic in the delivery", check: all, wrap: each(func(d *durable.Delivery) { d.Topic += "x" })},
		{name: "nil claim", check: all, wrap: each(func(d *durable.Delivery) { d.Claim = nil })},
		{name: "no key", check: all, wrap: each(func(d *durable.Delivery) { d.Key = "" })},
		{name: "no position in the delivery", check: all, wrap: each(func(d *durable.Delivery) { d.Position = "" })},
		{name: "ignores ctx in Fetch", check: fetch, wrap: joins(fetchForever)},
		{name: "more than max", check: fetch, wrap: joins(fetchMore)},
		{name: "DecodeErr ends the subscription", check: "Consume/AForeignEntryNeverEndsASubscription", wrap: joins(dieOfForeign)},
		{name: "DecodeErr is skipped", check: "Consume/AForeignEntryNeverEndsASubscription", wrap: fetches(skipForeign)},
		{name: "forgets what is released", check: "Release/IsFetchedAgain", wrap: joins(func(c *consumer) {
			c.release = func(...durable.Delivery) {}
		})},
		{name: "does not add topics", check: "SetTopics/AddsATopicWhileRunning", wrap: joins(func(c *consumer) {
			c.setTopics = func(context.Context, ...durable.TopicStart) error { return nil }
		})},
		{name: "groups share a message", check: "Consume/ADeliveryMayBeChanged", wrap: shareMessages},
		{name: "a trimmed start jumps in silence", check: "Consume/ATrimmedStartFailsOrJumpsAsItsPolicySays", wrap: jumps},
	}
}

// loseAgain drops the first of what is delivered again.
func loseAgain(ds []durable.Delivery) []durable.Delivery {
	if ds[0].Attempt > 1 {
		return ds[1:]
	}
	return ds
}

// deletePending acknowledges what is pending when the member leaves.
func deletePending(c *consumer) {
	var pending []durable.Delivery
	c.fetch = func(ctx context.Context, n int) ([]durable.Delivery, error) {
		ds, err := c.Consumer.Fetch(ctx, n)
		pending = append(pending, ds...)
		return ds, err
	}
	c.close = func(ctx context.Context) error {
		if err := c.Consumer.Ack(ctx, pending...); err != nil {
			return err
		}
		return c.Consumer.Close(ctx)
	}
}

// lateAcks lets an ack under a lost claim count for the present owner's.
func lateAcks(testing.TB) func(durable.Backend) durable.Backend {
	type handed struct {
		to *consumer
		d  durable.Delivery
	}
	var mu sync.Mutex
	latest := map[durable.Position]handed{}
	return func(next durable.Backend) durable.Backend {
		return members(next, func(c *consumer) {
			c.fetch = func(ctx context.Context, n int) ([]durable.Delivery, error) {
				ds, err := c.Consumer.Fetch(ctx, n)
				mu.Lock()
				defer mu.Unlock()
				for _, d := range ds {
					latest[d.Position] = handed{c, d}
				}
				return ds, err
			}
			c.ack = func(ctx context.Context, ds ...durable.Delivery) error {
				mu.Lock()
				defer mu.Unlock()
				for _, d := range ds {
					h := latest[d.Position]
					if err := h.to.Consumer.Ack(ctx, h.d); err != nil {
						return err
					}
				}
				return nil
			}
		})
	}
}

// forgetStart begins a group anew with each member.
func forgetStart(testing.TB) func(durable.Backend) durable.Backend {
	var mu sync.Mutex
	joined := 0
	return func(next durable.Backend) durable.Backend {
		return &backend{full: next.(full), consume: func(ctx context.Context, g durable.Group) (durable.Consumer, error) {
			mu.Lock()
			joined++
			g.Name += "-" + strconv.Itoa(joined)
			mu.Unlock()
			return next.Consume(ctx, g)
		}}
	}
}

func dropAcks(c *consumer) {
	c.ack = func(context.Context, ...durable.Delivery) error { return nil }
}

func fetchForever(c *consumer) {
	c.fetch = func(ctx context.Context, n int) ([]durable.Delivery, error) {
		return c.Consumer.Fetch(context.WithoutCancel(ctx), n)
	}
}

func fetchMore(c *consumer) {
	c.fetch = func(ctx context.Context, n int) ([]durable.Delivery, error) { return c.Consumer.Fetch(ctx, n+1) }
}

// dieOfForeign fails for good once it has met a foreign entry.
func dieOfForeign(c *consumer) {
	dead := false
	c.fetch = func(ctx context.Context, _ int) ([]durable.Delivery, error) {
		if dead {
			<-ctx.Done()
			return nil, errForeign
		}
		ds, err := c.Consumer.Fetch(ctx, 1)
		dead = len(ds) > 0 && ds[0].DecodeErr != nil
		return ds, err
	}
}

func skipForeign(ds []durable.Delivery) []durable.Delivery {
	return slices.DeleteFunc(ds, func(d durable.Delivery) bool { return d.DecodeErr != nil })
}

// shareMessages hands every group the same message.
func shareMessages(testing.TB) func(durable.Backend) durable.Backend {
	shared := map[string]*message.Message{}
	return func(next durable.Backend) durable.Backend {
		return deliveries(next, func(ds []durable.Delivery) []durable.Delivery {
			for i, d := range ds {
				if m := shared[id(d.Message)]; m != nil {
					ds[i].Message = m
				}
				shared[id(d.Message)] = ds[i].Message
			}
			return ds
		})
	}
}

// jumps joins every group with ExpiredOldest.
func jumps(testing.TB) func(durable.Backend) durable.Backend {
	return func(next durable.Backend) durable.Backend {
		return &backend{full: next.(full), consume: func(ctx context.Context, g durable.Group) (durable.Consumer, error) {
			g.OnExpired = durable.ExpiredOldest
			return next.Consume(ctx, g)
		}}
	}
}
