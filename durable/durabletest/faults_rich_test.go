package durabletest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

// trims changes what a trim is asked, and what it says.
func trimsOf(ask func(*durable.Trim), tell func(*durable.Trimmed)) func(testing.TB) func(durable.Backend) durable.Backend {
	return richly(func(b *rich) {
		b.trim = func(ctx context.Context, topic string, t durable.Trim) (durable.Trimmed, error) {
			ask(&t)
			done, err := b.full.Trim(ctx, topic, t)
			tell(&done)
			return done, err
		}
	})
}

func richFaults() []fault {
	const keeps, unread = "Trim/KeepsWhatSomeGroupHasNotAcknowledged", "Trim/AllowUnreadRemovesAndCountsIt"
	const remove = "Remove/DeletesThoseRecordsAlone"
	asIs := func(*durable.Trimmed) {}
	return []fault{
		{name: "trims what is unread", check: keeps, wrap: trimsOf(func(t *durable.Trim) { t.AllowUnread = true }, asIs)},
		{name: "says nothing of what it kept", check: keeps, wrap: trimsOf(func(*durable.Trim) {}, func(d *durable.Trimmed) { d.Held = false })},
		{name: "trims nothing where something is unread", check: keeps, wrap: richly(func(b *rich) {
			b.trim = func(ctx context.Context, topic string, t durable.Trim) (durable.Trimmed, error) {
				return durable.Trimmed{Held: true}, nil
			}
		})},
		{name: "keeps what is unread although it may go", check: unread, wrap: trimsOf(func(t *durable.Trim) { t.AllowUnread = false }, asIs)},
		{name: "does not count what was unread", check: unread, wrap: trimsOf(func(*durable.Trim) {}, func(d *durable.Trimmed) { d.Unread = 0 })},
		{name: "trims by length alone", check: "Trim/RemovesWhatWasStoredBefore", wrap: trimsOf(func(t *durable.Trim) { t.Before = time.Time{} }, asIs)},
		{name: "keeps one too many", check: "Trim/LeavesEveryPartitionItsNewest", wrap: trimsOf(func(t *durable.Trim) { t.MaxLen++ }, asIs)},
		{name: "counts one partition", check: "Trim/LeavesEveryPartitionItsNewest", wrap: trimsOf(func(*durable.Trim) {}, func(d *durable.Trimmed) { d.Records /= 2 })},
		{name: "trims what is not there", check: "Trim/OfATopicThatDoesNotExistIsErrTopicNotFound", wrap: richly(func(b *rich) {
			b.trim = func(ctx context.Context, topic string, t durable.Trim) (durable.Trimmed, error) {
				done, err := b.full.Trim(ctx, topic, t)
				if errors.Is(err, durable.ErrTopicNotFound) {
					err = nil
				}
				return done, err
			}
		})},
		{name: "removes nothing", check: remove, wrap: richly(func(b *rich) {
			b.erase = func(_ context.Context, _ string, ps ...durable.Position) (int64, error) { return int64(len(ps)), nil }
		})},
		{name: "removes the first alone", check: remove, wrap: richly(func(b *rich) {
			b.erase = func(ctx context.Context, topic string, ps ...durable.Position) (int64, error) {
				n, err := b.full.Remove(ctx, topic, ps[0])
				return 2 * n, err
			}
		})},
		{name: "removes for readers alone", check: remove, wrap: richly(func(b *rich) {
			removed := map[durable.Position]bool{}
			b.erase = func(_ context.Context, _ string, ps ...durable.Position) (n int64, err error) {
				for _, p := range ps {
					if !removed[p] {
						removed[p] = true
						n++
					}
				}
				return n, nil
			}
			b.replay = func(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
				return func(yield func(durable.Record, error) bool) {
					for rec, err := range b.full.Replay(ctx, topic, r) {
						if !removed[rec.Position] && !yield(rec, err) {
							return
						}
					}
				}
			}
		})},
	}
}

func managedFaults() []fault {
	const names, reset, drop = "Groups/AreNamedInOrder", "Groups/AResetOneGoesOnAtTheStart", "Groups/ADeletedOneBeginsAnew"
	unheeded := func(err error) error {
		if errors.Is(err, durable.ErrGroupActive) {
			return nil
		}
		return err
	}
	const unknown = "Groups/AnUnknownOneIsInvalid"
	heedless := func(err error) error {
		if errors.Is(err, durable.ErrInvalid) {
			return nil
		}
		return err
	}
	return []fault{
		{name: "names groups of other topics", check: names, wrap: richly(func(b *rich) {
			b.groups = func(ctx context.Context, topic string) (all []string, err error) {
				if all, err = b.full.Groups(ctx, topic); err == nil {
					all = append(all, "other")
				}
				return all, err
			}
		})},
		{name: "names groups in any order", check: names, wrap: richly(func(b *rich) {
			b.groups = func(ctx context.Context, topic string) ([]string, error) {
				all, err := b.full.Groups(ctx, topic)
				slices.Reverse(all)
				return all, err
			}
		})},
		{name: "a topic that is not there has no groups", check: names, wrap: richly(func(b *rich) {
			b.groups = func(ctx context.Context, topic string) ([]string, error) {
				all, _ := b.full.Groups(ctx, topic)
				return all, nil
			}
		})},
		{name: "resets under its members", check: reset, wrap: richly(func(b *rich) {
			b.reset = func(ctx context.Context, group, topic string, start durable.Start) error {
				return unheeded(b.full.ResetGroup(ctx, group, topic, start))
			}
		})},
		{name: "resets to the oldest whatever is asked", check: reset, wrap: richly(func(b *rich) {
			b.reset = func(ctx context.Context, group, topic string, _ durable.Start) error {
				return b.full.ResetGroup(ctx, group, topic, durable.Oldest())
			}
		})},
		{name: "resets nothing", check: reset, wrap: richly(func(b *rich) {
			b.reset = func(ctx context.Context, group, topic string, start durable.Start) error {
				if start.Kind() == durable.StartOldest { // which is asked for while members are there, too
					return b.full.ResetGroup(ctx, group, topic, start)
				}
				return nil
			}
		})},
		{name: "resets to what is gone", check: "Groups/AreNotResetToWhatIsNoLongerStored", wrap: richly(func(b *rich) {
			b.reset = func(context.Context, string, string, durable.Start) error { return nil }
		})},
		{name: "takes any group for reset", check: unknown, wrap: richly(func(b *rich) {
			b.reset = func(ctx context.Context, group, topic string, start durable.Start) error {
				return heedless(b.full.ResetGroup(ctx, group, topic, start))
			}
		})},
		{name: "takes any group for deleted", check: unknown, wrap: richly(func(b *rich) {
			b.drop = func(ctx context.Context, group, topic string) error {
				return heedless(b.full.DeleteGroup(ctx, group, topic))
			}
		})},
		{name: "deletes under its members", check: drop, wrap: richly(func(b *rich) {
			b.drop = func(ctx context.Context, group, topic string) error {
				return unheeded(b.full.DeleteGroup(ctx, group, topic))
			}
		})},
		{name: "a deleted group is still named", check: drop, wrap: richly(func(b *rich) {
			dropped := ""
			b.drop = func(ctx context.Context, group, topic string) error {
				dropped = group
				return b.full.DeleteGroup(ctx, group, topic)
			}
			b.groups = func(ctx context.Context, topic string) ([]string, error) {
				all, err := b.full.Groups(ctx, topic)
				if dropped != "" {
					all = append(all, dropped)
				}
				return all, err
			}
		})},
		{name: "a deleted group keeps its position", check: drop, wrap: richly(func(b *rich) {
			b.drop = func(ctx context.Context, group, topic string) error {
				err := b.full.ResetGroup(ctx, group, topic, durable.Newest())
				if err == nil {
					b.groups = func(context.Context, string) ([]string, error) { return nil, nil }
				}
				return err
			}
		})},
		{name: "more is pending than was stored", check: "Lag/WhatIsPendingIsWithMembers", wrap: lags(func(l *durable.PartitionLag) { l.Pending += 1000 })},
		{name: "members that are not there hold something", check: "Lag/WhatIsPendingIsWithMembers", wrap: lags(func(l *durable.PartitionLag) {
			l.Members = []durable.MemberLag{{Member: "nobody"}}
		})},
		{name: "what is acknowledged stays pending", check: "Lag/WhatIsPendingIsWithMembers", wrap: lags(func(l *durable.PartitionLag) { l.Pending = max(l.Pending, 1) })},
	}
}

// pausing is a consumer whose Pauser is changed.
type pausing struct {
	durable.Consumer
	durable.Pauser
	claims func() int
	fetch  fetchFunc
}

func (p *pausing) Claims() int {
	if p.claims != nil {
		return p.claims()
	}
	return p.Pauser.Claims()
}

func (p *pausing) Fetch(ctx context.Context, n int) ([]durable.Delivery, error) {
	if p.fetch != nil {
		return p.fetch(ctx, n)
	}
	return p.Consumer.Fetch(ctx, n)
}

// pausesOnly is a Pauser that lacks something.
type pausesOnly struct {
	durable.Pauser
	pause, resume func(*durable.Claim)
}

func (p pausesOnly) Pause(c *durable.Claim)  { p.pause(c) }
func (p pausesOnly) Resume(c *durable.Claim) { p.resume(c) }

// pausers wraps a backend by a change of its members, which are Pausers.
func pausers(change func(*pausing)) func(testing.TB) func(durable.Backend) durable.Backend {
	return changed(func(b *backend) {
		b.consume = func(ctx context.Context, g durable.Group) (durable.Consumer, error) {
			c, err := b.full.Consume(ctx, g)
			if err != nil {
				return nil, err
			}
			p := &pausing{Consumer: c, Pauser: c.(*consumer).Consumer.(durable.Pauser)}
			change(p)
			return p, nil
		}
	})
}

func pauseFaults() []fault {
	const one = "Pause/HoldsOneClaimBackUntilItIsResumed"
	nothing := func(*durable.Claim) {}
	return []fault{
		{name: "pauses nothing", check: one, wrap: pausers(func(p *pausing) {
			p.Pauser = pausesOnly{p.Pauser, nothing, p.Resume}
		})},
		{name: "pauses nothing while a partition is stuck", check: "Pause/AFullPartitionStopsNeitherItsSiblings", wrap: pausers(func(p *pausing) {
			p.Pauser = pausesOnly{p.Pauser, nothing, p.Resume}
		})},
		{name: "resumes nothing", check: one, wrap: pausers(func(p *pausing) {
			p.Pauser = pausesOnly{p.Pauser, p.Pause, nothing}
		})},
		{name: "counts no claims", check: one, wrap: pausers(func(p *pausing) { p.claims = func() int { return 0 } })},
		{name: "loses what it held back", check: one, wrap: pausers(func(p *pausing) {
			resumed := false
			p.Pauser = pausesOnly{p.Pauser, p.Pause, func(c *durable.Claim) { resumed = true; p.Pauser.(pausesOnly).Pauser.Resume(c) }}
			p.fetch = func(ctx context.Context, n int) ([]durable.Delivery, error) {
				ds, err := p.Consumer.Fetch(ctx, n)
				if resumed && len(ds) > 0 {
					resumed = false
					ds = ds[1:]
				}
				return ds, err
			}
		})},
		{name: "loses what it held back now and then", check: "Pause/LosesNothingHoweverOften", wrap: pausers(func(p *pausing) {
			var resumed atomic.Int64
			p.Pauser = pausesOnly{p.Pauser, p.Pause, func(c *durable.Claim) { resumed.Add(1); p.Pauser.(pausesOnly).Pauser.Resume(c) }}
			p.fetch = func(ctx context.Context, n int) ([]durable.Delivery, error) {
				ds, err := p.Consumer.Fetch(ctx, n)
				if resumed.Load() > 10 && len(ds) > 0 {
					resumed.Store(-1e9)
					ds = ds[1:]
				}
				return ds, err
			}
		})},
	}
}

func TestAPauserPassesTheChecksOfPauses(t *testing.T) {
	s := suite()
	s.Checks = pauseChecks()
	s.Passes(t, func(t testing.TB) Harness {
		return harness(t, memory.Config{}, pausers(func(*pausing) {})(t))
	})
}
