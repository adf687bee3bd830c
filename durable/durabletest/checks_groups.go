package durabletest

import (
	"context"
	"errors"
	"slices"

	"github.com/dualstream/dualstream/durable"
)

func groupChecks() []check {
	manages := func(a abilities, _ Harness) bool { return a.Groups && a.managesGroups }
	expires := func(a abilities, h Harness) bool { return manages(a, h) && h.Trim != nil }
	return []check{
		{Name: "Groups/AreNamedInOrder", Needs: manages, Run: groupNames},
		{Name: "Groups/AResetOneGoesOnAtTheStart", Needs: manages, Run: resetGroup},
		{Name: "Groups/AreNotResetToWhatIsNoLongerStored", Needs: expires, Run: resetExpired},
		{Name: "Groups/ADeletedOneBeginsAnew", Needs: manages, Run: deleteGroup},
		{Name: "Groups/AnUnknownOneIsInvalid", Needs: manages, Run: unknownGroup},
		{Name: "Lag/WhatIsPendingIsWithMembers", Needs: groupReports, Run: lagPending},
	}
}

// groupsOf is what b names for topic.
func (e *env) groupsOf(b durable.Backend, topic string) (names []string) {
	e.Helper()
	e.Do("Groups", func(ctx context.Context) (err error) {
		names, err = b.(durable.GroupAdministrator).Groups(ctx, topic)
		return err
	})
	return names
}

// whenIdle calls f until it does not find members any more: a backend may learn late that the last one left.
func (e *env) whenIdle(what string, f func(context.Context) error) error {
	e.Helper()
	return e.Within(what, func(ctx context.Context) error {
		err := f(ctx)
		for errors.Is(err, durable.ErrGroupActive) && ctx.Err() == nil {
			err = f(ctx)
		}
		return err
	})
}

func groupNames(e *env) {
	b, topic, other := e.open(), e.NewTopic(e.TB, 1), e.NewTopic(e.TB, 1)
	if got := e.groupsOf(b, e.stocked(b, topic)); len(got) != 0 {
		e.Errorf("Groups: got %q, want none", got)
	}
	var want []string
	for _, name := range []string{"c", "a", "b"} {
		g := e.group(topic)
		g.Name = name + "-" + topic
		e.leave(e.join(b, g))
		want = append(want, g.Name)
	}
	e.leave(e.join(b, e.group(other)))
	slices.Sort(want)
	if got := e.groupsOf(b, topic); !slices.Equal(got, want) {
		e.Errorf("Groups: got %q, want %q", got, want)
	}
	err := e.Within("Groups", func(ctx context.Context) error {
		_, err := b.(durable.GroupAdministrator).Groups(ctx, topic+"-none")
		return err
	})
	if !errors.Is(err, durable.ErrTopicNotFound) {
		e.Errorf("Groups of a topic that does not exist: got %v, want ErrTopicNotFound", err)
	}
}

// stocked is topic with a message in it.
func (e *env) stocked(b durable.Backend, topic string) string {
	e.append(b, topic, messages("m", 1, 1)...)
	return topic
}

func resetGroup(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	admin, all, g := b.(durable.GroupAdministrator), messages("m", 8, 2), e.group(topic)
	ps := e.append(b, topic, all...)
	c := e.join(b, g)
	e.ack(c, e.collect(c, 8)[:6])
	reset := func(start durable.Start) func(context.Context) error {
		return func(ctx context.Context) error { return admin.ResetGroup(ctx, g.Name, topic, start) }
	}
	if err := e.Within("ResetGroup", reset(durable.Oldest())); !errors.Is(err, durable.ErrGroupActive) {
		e.Errorf("ResetGroup while a member consumes: got %v, want ErrGroupActive", err)
	}
	e.leave(c)
	for _, to := range []struct {
		start durable.Start
		first int
	}{{durable.After(durable.Cursor{0: ps[4]}), 5}, {durable.Oldest(), 0}, {durable.Newest(), 8}} {
		if err := e.whenIdle("ResetGroup", reset(to.start)); err != nil {
			e.Fatalf("ResetGroup: got %v, want nil", err)
		}
		c, want := e.join(b, g), all[to.first:]
		var got []durable.Delivery
		if len(want) > 0 {
			got = e.collect(c, len(want))
		}
		e.once(deliveryIDs(append(got, e.quiet(c)...)), want)
		e.leave(c)
	}
}

func resetExpired(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	g := e.group(topic)
	ps := e.append(b, topic, messages("m", 10, 2)...)
	e.leave(e.join(b, g))
	e.Trim(e.TB, topic)
	err := e.whenIdle("ResetGroup", func(ctx context.Context) error {
		return b.(durable.GroupAdministrator).ResetGroup(ctx, g.Name, topic, durable.After(durable.Cursor{0: ps[0]}))
	})
	if !errors.Is(err, durable.ErrPositionExpired) {
		e.Errorf("ResetGroup to a trimmed position: got %v, want ErrPositionExpired", err)
	}
}

func deleteGroup(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	admin, all, g := b.(durable.GroupAdministrator), messages("m", 12, 6), e.group(topic)
	e.append(b, topic, all...)
	c := e.join(b, g)
	e.ack(c, e.collect(c, 12))
	remove := func(ctx context.Context) error { return admin.DeleteGroup(ctx, g.Name, topic) }
	if err := e.Within("DeleteGroup", remove); !errors.Is(err, durable.ErrGroupActive) {
		e.Errorf("DeleteGroup while a member consumes: got %v, want ErrGroupActive", err)
	}
	e.leave(c)
	if err := e.whenIdle("DeleteGroup", remove); err != nil {
		e.Fatalf("DeleteGroup: got %v, want nil", err)
	}
	if got := e.groupsOf(b, topic); len(got) != 0 {
		e.Errorf("Groups: got %q, want none", got)
	}
	c = e.join(b, g)
	e.once(deliveryIDs(append(e.collect(c, 12), e.quiet(c)...)), all)
}

// unknownGroup resets and deletes a group that is of another topic, and one that is of none.
func unknownGroup(e *env) {
	b, topic, other := e.open(), e.NewTopic(e.TB, e.Partitions), e.NewTopic(e.TB, 1)
	admin := b.(durable.GroupAdministrator)
	e.stocked(b, topic)
	g := e.group(other)
	e.leave(e.join(b, g))
	for _, name := range []string{g.Name, "none-" + topic} {
		for what, f := range map[string]func(context.Context) error{
			"ResetGroup":  func(ctx context.Context) error { return admin.ResetGroup(ctx, name, topic, durable.Oldest()) },
			"DeleteGroup": func(ctx context.Context) error { return admin.DeleteGroup(ctx, name, topic) },
		} {
			if err := e.whenIdle(what, f); !errors.Is(err, durable.ErrInvalid) {
				e.Errorf("%s of a group that has no position in the topic: got %v, want ErrInvalid", what, err)
			}
		}
	}
	if got := e.groupsOf(b, topic); len(got) != 0 {
		e.Errorf("Groups: got %q, want none", got)
	}
	if got := e.groupsOf(b, other); !slices.Equal(got, []string{g.Name}) {
		e.Errorf("Groups of the other topic: got %q, want %q", got, g.Name)
	}
}

// lagPending holds what a backend says of deliveries that a member holds against what it may know.
func lagPending(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	g := e.group(topic)
	g.Member = "holder"
	c := e.join(b, g)
	const n = 6
	e.append(b, topic, messages("m", n, 3)...)
	ds := e.collect(c, e.most(n))
	look := func() (pending int64) {
		var lags []durable.PartitionLag
		e.Do("Lag", func(ctx context.Context) (err error) {
			lags, err = b.(durable.LagReporter).Lag(ctx, g.Name, topic)
			return err
		})
		for _, l := range lags {
			held := int64(0)
			for _, m := range l.Members {
				held += m.Pending
				if m.Member != g.Member {
					e.Errorf("Lag: got the member %q, want %q", m.Member, g.Member)
				}
			}
			if held > l.Pending || l.Pending == 0 && l.OldestPending != 0 || l.OldestPending < 0 {
				e.Errorf("Lag: got %+v, want members to hold what is pending, and an age where something is", l)
			}
			pending += l.Pending
		}
		return pending
	}
	if got := look(); got > n {
		e.Errorf("Lag: got %d pending, want at most %d", got, n)
	}
	e.ack(c, ds)
	ctx, stop := e.Soon()
	defer stop()
	e.leave(c)
	if len(ds) == n {
		e.until(ctx, "nothing to be pending", func() bool { return look() == 0 })
	}
}
