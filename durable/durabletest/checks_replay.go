package durabletest

import (
	"context"
	"errors"

	"github.com/dualstream/dualstream/durable"
)

func replayChecks() []check {
	trims := func(a abilities, h Harness) bool { return a.Replay && h.Trim != nil }
	follows := func(a abilities, _ Harness) bool { return a.ReplayFollow }
	return []check{
		{Name: "Replay/YieldsEverythingAndEndsAtTheHead", Needs: replays, Run: replayAll},
		{Name: "Replay/BeginsAfterAndEndsAtACursor", Needs: replays, Run: replayCursor},
		{Name: "Replay/OfATrimmedPositionIsErrPositionExpired", Needs: trims, Run: replayTrimmed},
		{Name: "Replay/FollowsUntilItsContextEnds", Needs: follows, Run: replayFollow},
	}
}

func replayAll(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	if got := e.replay(b, topic, durable.Range{}); len(got) != 0 {
		e.Errorf("an empty topic yields %d records", len(got))
	}
	all := messages("m", 300, 8)
	e.append(b, topic, all...)
	got := recordIDs(e.replay(b, topic, durable.Range{}))
	e.once(got, all)
	e.inOrder(got, all)
}

func replayCursor(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	all := messages("m", 10, 1)
	ps := e.append(b, topic, all...)
	got := e.replay(b, topic, durable.Range{From: durable.After(durable.Cursor{0: ps[2]}), To: durable.Cursor{0: ps[6]}})
	e.once(recordIDs(got), all[3:7])
	rest := e.replay(b, topic, durable.Range{From: durable.After(durable.Cursor{0: ps[6]})})
	e.once(recordIDs(rest), all[7:])
}

func replayTrimmed(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	ps := e.append(b, topic, messages("m", 10, 1)...)
	e.Trim(e.TB, topic)
	err := e.Within("Replay", func(ctx context.Context) error {
		for r, err := range b.Replay(ctx, topic, durable.Range{From: durable.After(durable.Cursor{0: ps[0]})}) {
			if err != nil {
				return err
			}
			e.Errorf("a gap was passed over in silence to %s", id(r.Message))
		}
		return nil
	})
	if !errors.Is(err, durable.ErrPositionExpired) {
		e.Errorf("got %v, want ErrPositionExpired", err)
	}
}

func replayFollow(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	first, later := messages("first", 3, 1), messages("later", 3, 1)
	e.append(b, topic, first...)
	var got []string
	err := e.Within("Replay that follows", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for r, err := range b.Replay(ctx, topic, durable.Range{Follow: true}) {
			if err != nil {
				return err
			}
			got = append(got, id(r.Message))
			switch len(got) {
			case len(first):
				if _, err := b.Append(ctx, topic, later...); err != nil {
					return err
				}
			case len(first) + len(later):
				cancel()
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		e.Errorf("got %v, want an end with the context", err)
	}
	e.once(got, append(first, later...))
}
