package durabletest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dualstream/dualstream/durable"
)

func trimChecks() []check {
	trimmer := func(a abilities, _ Harness) bool { return a.trims && a.Groups && a.Replay }
	timed := func(a abilities, h Harness) bool { return trimmer(a, h) && a.StartAtTime }
	described := func(a abilities, h Harness) bool { return trimmer(a, h) && a.administers }
	remover := func(a abilities, _ Harness) bool { return a.removes && a.Groups }
	return []check{
		{Name: "Trim/KeepsWhatSomeGroupHasNotAcknowledged", Needs: trimmer, Run: trimKeeps},
		{Name: "Trim/AllowUnreadRemovesAndCountsIt", Needs: trimmer, Run: trimUnread},
		{Name: "Trim/RemovesWhatWasStoredBefore", Needs: timed, Run: trimBefore},
		{Name: "Trim/LeavesEveryPartitionItsNewest", Needs: described, Run: trimAlike},
		{Name: "Trim/OfATopicThatDoesNotExistIsErrTopicNotFound", Needs: trimmer, Run: trimNothing},
		{Name: "Remove/DeletesThoseRecordsAlone", Needs: remover, Run: removeSome},
	}
}

// trim fails the test where b does not trim topic.
func (e *env) trim(b durable.Backend, topic string, t durable.Trim) (done durable.Trimmed) {
	e.Helper()
	e.Do("Trim", func(ctx context.Context) (err error) {
		done, err = b.(durable.Trimmer).Trim(ctx, topic, t)
		return err
	})
	return done
}

// half stores 10 messages of which a group acknowledges the first 6.
func (e *env) half(b durable.Backend) (topic string, g durable.Group, ps []durable.Position) {
	e.Helper()
	topic = e.NewTopic(e.TB, 1)
	ps = e.append(b, topic, messages("m", 10, 2)...)
	g = e.group(topic)
	c := e.join(b, g)
	e.ack(c, e.collect(c, 10)[:6])
	e.leave(c)
	return topic, g, ps
}

func trimKeeps(e *env) {
	b := e.open()
	topic, g, ps := e.half(b)
	left := messages("m", 10, 2)[6:]
	for round, want := range []durable.Trimmed{{Records: 6, Held: true}, {Held: true}} {
		if got := e.trim(b, topic, durable.Trim{MaxLen: 2, Exact: true}); got != want {
			e.Errorf("Trim number %d: got %+v, want %+v", round, got, want)
		}
	}
	e.once(recordIDs(e.stored(b, topic, len(left))), left)
	err := e.Within("Replay", func(ctx context.Context) error {
		for _, err := range b.Replay(ctx, topic, durable.Range{From: durable.After(durable.Cursor{0: ps[0]})}) {
			return err
		}
		return nil
	})
	if !errors.Is(err, durable.ErrPositionExpired) {
		e.Errorf("Replay from a trimmed position: got %v, want ErrPositionExpired", err)
	}
	c := e.join(b, g)
	e.once(deliveryIDs(append(e.collect(c, len(left)), e.quiet(c)...)), left)
}

func trimUnread(e *env) {
	b := e.open()
	topic, g, _ := e.half(b)
	got := e.trim(b, topic, durable.Trim{MaxLen: 2, Exact: true, AllowUnread: true})
	if got.Records != 8 || got.Unread < 1 || got.Unread > 2 || got.Held {
		e.Errorf("Trim: got %+v, want 8 records, of which at least some of the 2 unread ones are counted", got)
	}
	left := messages("m", 10, 2)[8:]
	g.OnExpired = durable.ExpiredOldest
	c := e.join(b, g)
	e.once(deliveryIDs(append(e.collect(c, len(left)), e.quiet(c)...)), left)
}

func trimBefore(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	e.append(b, topic, messages("old", 3, 1)...)
	ctx, stop := e.Soon()
	defer stop()
	begin := time.Now()
	e.until(ctx, "the clock to go on", func() bool { return time.Since(begin) > 5*time.Millisecond })
	e.append(b, topic, messages("new", 3, 1)...)
	stored := e.replay(b, topic, durable.Range{})
	if len(stored) != 6 {
		e.Fatalf("Replay: got %d records, want 6", len(stored))
	}
	got := e.trim(b, topic, durable.Trim{Before: stored[3].StoredAt, Exact: true})
	if want := (durable.Trimmed{Records: 3}); got != want {
		e.Errorf("Trim: got %+v, want %+v", got, want)
	}
	e.once(recordIDs(e.stored(b, topic, 3)), messages("new", 3, 1))
}

func trimAlike(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	e.append(b, topic, messages("m", 10*e.Partitions, 4*e.Partitions)...)
	admin := b.(durable.Administrator)
	before := e.describe(admin, topic)
	got := e.trim(b, topic, durable.Trim{MaxLen: 3, Exact: true})
	want := durable.Trimmed{}
	for i, p := range e.describe(admin, topic).Partitions {
		was := before.Partitions[i]
		if p.Records != min(was.Records, 3) || p.Newest != was.Newest {
			e.Errorf("partition %d: got %+v of %+v, want the newest 3", i, p, was)
		}
		want.Records += was.Records - p.Records
	}
	if got != want {
		e.Errorf("Trim: got %+v, want %+v", got, want)
	}
}

func trimNothing(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)+"-none"
	err := e.Within("Trim", func(ctx context.Context) error {
		_, err := b.(durable.Trimmer).Trim(ctx, topic, durable.Trim{MaxLen: 1})
		return err
	})
	if !errors.Is(err, durable.ErrTopicNotFound) {
		e.Errorf("Trim of a topic that does not exist: got %v, want ErrTopicNotFound", err)
	}
}

func removeSome(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	all := messages("m", 5, 2)
	ps := e.append(b, topic, all...)
	g := e.group(topic)
	e.leave(e.join(b, g))
	for _, want := range []int64{2, 0} {
		e.Do("Remove", func(ctx context.Context) error {
			n, err := b.(durable.Remover).Remove(ctx, topic, ps[1], ps[3])
			if err == nil && n != want {
				e.Errorf("Remove: got %d, want %d", n, want)
			}
			return err
		})
	}
	left := append(slices.Clone(all[:1]), all[2], all[4])
	e.once(recordIDs(e.stored(b, topic, len(left))), left)
	c := e.join(b, g)
	e.once(deliveryIDs(append(e.collect(c, len(left)), e.quiet(c)...)), left)
}
