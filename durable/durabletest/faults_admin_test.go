package durabletest

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/dualstream/dualstream/durable"
)

// changed wraps a backend by a change of the one that decorates it.
func changed(f func(b *backend)) func(testing.TB) func(durable.Backend) durable.Backend {
	return plain(func(next durable.Backend) durable.Backend {
		b := &backend{full: next.(full)}
		f(b)
		return b
	})
}

func adminFaults() []fault {
	const create = "Administrator/CreatesATopicOnceInOneShape"
	const lag = "Lag/IsWhatTheGroupHasNotAcknowledged"
	return []fault{
		{name: "another shape is accepted", check: create, wrap: changed(func(b *backend) {
			b.create = func(ctx context.Context, spec durable.TopicSpec) error {
				if err := b.full.CreateTopic(ctx, spec); !errors.Is(err, durable.ErrTopicExists) {
					return err
				}
				return nil
			}
		})},
		{name: "topics have one partition", check: create, wrap: changed(func(b *backend) {
			b.create = func(ctx context.Context, spec durable.TopicSpec) error {
				spec.Partitions = 1
				return b.full.CreateTopic(ctx, spec)
			}
		})},
		{name: "describes the end instead of the newest", check: "Administrator/DescribesWhatIsStored", wrap: changed(func(b *backend) {
			b.describe = func(ctx context.Context, topic string) (durable.TopicInfo, error) {
				info, err := b.full.DescribeTopic(ctx, topic)
				for i := range info.Partitions {
					info.Partitions[i].Newest = info.Partitions[i].Oldest
				}
				return info, err
			}
		})},
		{name: "a topic is not deleted", check: "Administrator/ADeletedTopicIsNotFound", wrap: changed(func(b *backend) {
			b.remove = func(context.Context, string) error { return nil }
		})},
		{name: "lag is what is delivered", check: lag, wrap: lags(func(l *durable.PartitionLag) { l.Lag = l.Pending })},
		{name: "lag counts one too many", check: lag, wrap: lags(func(l *durable.PartitionLag) { l.Lag++ })},
		{name: "lag of one partition alone", check: lag, wrap: changed(func(b *backend) {
			b.lag = func(ctx context.Context, group, topic string) ([]durable.PartitionLag, error) {
				all, err := b.full.Lag(ctx, group, topic)
				return all[:min(1, len(all))], err
			}
		})},
		{name: "lag of an unknown group is 0", check: "Lag/OfWhatIsUnknownIsNotZero", wrap: lags(func(l *durable.PartitionLag) { l.Lag = max(l.Lag, 0) })},
		{name: "healthy after Close", check: "Health/OfABackendThatServesIsNil", wrap: changed(func(b *backend) {
			b.health = func(context.Context) error { return nil }
		})},
	}
}

// lags changes what Lag says of each partition.
func lags(f func(*durable.PartitionLag)) func(testing.TB) func(durable.Backend) durable.Backend {
	return changed(func(b *backend) {
		b.lag = func(ctx context.Context, group, topic string) ([]durable.PartitionLag, error) {
			all, err := b.full.Lag(ctx, group, topic)
			for i := range all {
				f(&all[i])
			}
			return all, err
		}
	})
}

func startFaults() []fault {
	const topics = "SetTopics/ATopicThatComesBackGoesOnWhereItWas"
	return []fault{
		{name: "starts one late", check: "Start/AfterAPosition", wrap: fetches(func(ds []durable.Delivery) []durable.Delivery {
			if id(ds[0].Message) == "m-5" {
				return ds[1:]
			}
			return ds
		})},
		{name: "starts at the oldest whatever is asked", check: "Start/AfterAPosition", wrap: groupsOf(func(g *durable.Group) {
			g.Start = durable.Oldest()
		})},
		{name: "other partitions start at their newest", check: "Start/AfterACursorBeginsOtherPartitionsAtTheirOldest", wrap: groupsOf(func(g *durable.Group) {
			if g.Start.Kind() == durable.StartAfter {
				g.Start = durable.Newest()
			}
		})},
		{name: "ignores the time of a start", check: "Start/AtATime", wrap: groupsOf(func(g *durable.Group) {
			if g.Start.Kind() == durable.StartAt {
				g.Start = durable.Newest()
			}
		})},
		{name: "ignores the start of a topic", check: "Start/OfATopicWinsOverThatOfTheGroup", wrap: groupsOf(func(g *durable.Group) {
			g.Topics = durable.Topics(g.Topics[0].Topic, g.Topics[len(g.Topics)-1].Topic)
		})},
		{name: "starts anew with every member", check: "Start/IsThatOfNewGroupsAlone", wrap: forgetStart},
		{name: "removed topics stay", check: "SetTopics/RemovesATopicAndLeavesTheOthers", wrap: joins(func(c *consumer) {
			c.setTopics = func(context.Context, ...durable.TopicStart) error { return nil }
		})},
		{name: "added topics start at their oldest", check: "SetTopics/StartsANewTopicAsItsStartSays", wrap: joins(func(c *consumer) {
			c.setTopics = func(ctx context.Context, ts ...durable.TopicStart) error {
				for i := range ts {
					ts[i].Start = durable.Oldest()
				}
				return c.Consumer.SetTopics(ctx, ts...)
			}
		})},
		{name: "a topic that comes back is lost", check: topics, wrap: joins(func(c *consumer) {
			c.setTopics = func(ctx context.Context, ts ...durable.TopicStart) error {
				return c.Consumer.SetTopics(ctx, ts[len(ts)-1:]...)
			}
		})},
		{name: "reorders a key within a fetch", check: "Consume/KeepsAKeyInOrderWhileMembersComeAndGo", wrap: fetches(func(ds []durable.Delivery) []durable.Delivery {
			ds[0], ds[len(ds)-1] = ds[len(ds)-1], ds[0]
			return ds
		})},
		{name: "repeats what a leaving member handled", check: "Consume/KeepsAKeyInOrderWhileMembersComeAndGo", wrap: joins(dropAcks)},
		{name: "refuses no second member", check: "Consume/RefusesASecondMemberThatWouldBreakOrder", wrap: plain(func(next durable.Backend) durable.Backend {
			return unordered{next.(full)}
		})},
	}
}

// unordered claims less than it does.
type unordered struct{ full }

func (u unordered) Capabilities() durable.Capabilities {
	c := u.full.Capabilities()
	c.OrderedGroup = false
	return c
}

// groupsOf wraps a backend by a change of the groups that join.
func groupsOf(f func(*durable.Group)) func(testing.TB) func(durable.Backend) durable.Backend {
	return changed(func(b *backend) {
		b.consume = func(ctx context.Context, g durable.Group) (durable.Consumer, error) {
			f(&g)
			return b.full.Consume(ctx, g)
		}
	})
}

func rangeFaults() []fault {
	const follow = "Replay/FollowsFromAPosition"
	return []fault{
		{name: "a replay chases the head", check: "Replay/EndsAtTheHeadThatItSawAtTheCall", wrap: changed(chase)},
		{name: "ignores the partitions of a range", check: "Replay/OfSomePartitionsYieldsThoseAlone", wrap: ranges(func(r *durable.Range) { r.Partitions = nil })},
		{name: "ignores the end time of a range", check: "Replay/EndsBeforeATime", wrap: toTime},
		{name: "follows from the oldest", check: follow, wrap: ranges(func(r *durable.Range) { r.From = durable.Oldest() })},
		{name: "a loop that ended goes on", check: "Replay/EndsWhenItsLoopDoes", wrap: changed(func(b *backend) {
			b.replay = func(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
				return func(yield func(durable.Record, error) bool) {
					for rec, err := range b.full.Replay(ctx, topic, r) {
						if !yield(rec, err) {
							yield(rec, err)
						}
					}
				}
			}
		})},
		{name: "a replay hides what is acknowledged", check: "Replay/ReadersBesideAGroupSeeEverything", wrap: hideAcked},
	}
}

// chase replays again what came while it replayed.
func chase(b *backend) {
	b.replay = func(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
		return func(yield func(durable.Record, error) bool) {
			last := durable.Cursor{}
			for range 2 {
				for rec, err := range b.full.Replay(ctx, topic, r) {
					if !yield(rec, err) {
						return
					}
					last[rec.Partition] = rec.Position
				}
				r.From = durable.After(last)
			}
		}
	}
}

// toTime yields a record too many where a time ends the range.
func toTime(testing.TB) func(durable.Backend) durable.Backend {
	return ranges(func(r *durable.Range) {
		if !r.ToTime.IsZero() {
			r.ToTime = r.ToTime.Add(1 << 40)
		}
	})(nil)
}

// hideAcked ends every replay at once after the first acknowledgement.
func hideAcked(testing.TB) func(durable.Backend) durable.Backend {
	acked := false
	return func(next durable.Backend) durable.Backend {
		b := members(next, func(c *consumer) {
			c.ack = func(ctx context.Context, ds ...durable.Delivery) error {
				acked = true
				return c.Consumer.Ack(ctx, ds...)
			}
		})
		b.replay = func(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
			if acked {
				return func(func(durable.Record, error) bool) {}
			}
			return next.Replay(ctx, topic, r)
		}
		return b
	}
}

// claiming changes what a backend says of itself, and nothing else.
type claiming struct {
	full
	change func(*durable.Capabilities)
}

func (c claiming) Capabilities() durable.Capabilities {
	caps := c.full.Capabilities()
	c.change(&caps)
	return caps
}

func claims(change func(*durable.Capabilities)) func(testing.TB) func(durable.Backend) durable.Backend {
	return plain(func(next durable.Backend) durable.Backend { return claiming{next.(full), change} })
}

func capabilityFaults() []fault {
	const refused = "Capabilities/WhatIsFalseIsRefusedWithErrUnsupported"
	return []fault{
		{name: "tells positions that mean nothing", check: "Append/ReturnsOnePositionPerMessage", wrap: claims(func(c *durable.Capabilities) { c.NoPositions = true })},
		{name: "takes a position that means nothing", check: refused, wrap: claims(func(c *durable.Capabilities) { c.NoPositions = true })},
		{name: "takes a start that it lacks", check: refused, wrap: claims(func(c *durable.Capabilities) { c.OldestOnly = true })},
	}
}
