package durabletest

import (
	"context"
	"errors"

	"github.com/dualstream/dualstream/durable"
)

func rangeChecks() []check {
	timed := func(a abilities, _ Harness) bool { return a.Replay && a.StartAtTime }
	spread := func(a abilities, _ Harness) bool { return a.Replay && a.Partitions }
	follows := func(a abilities, _ Harness) bool { return a.ReplayFollow }
	return []check{
		{Name: "Replay/EndsAtTheHeadThatItSawAtTheCall", Needs: replays, Run: replayHead},
		{Name: "Replay/OfSomePartitionsYieldsThoseAlone", Needs: spread, Run: replayPartitions},
		{Name: "Replay/EndsBeforeATime", Needs: timed, Run: replayToTime},
		{Name: "Replay/FollowsFromAPosition", Needs: follows, Run: replayFollowAfter},
		{Name: "Replay/EndsWhenItsLoopDoes", Needs: replays, Run: replayBreak},
		{Name: "Replay/ReadersBesideAGroupSeeEverything", Needs: beside, Run: replayBeside},
	}
}

func beside(a abilities, _ Harness) bool { return a.Groups && a.Replay }

// replayHead appends while it reads.
func replayHead(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	all := messages("m", 20, 2)
	e.append(b, topic, all...)
	var got []string
	e.Do("Replay", func(ctx context.Context) error {
		for r, err := range b.Replay(ctx, topic, durable.Range{}) {
			if err != nil {
				return err
			}
			if len(got) == 0 {
				if _, err := b.Append(ctx, topic, messages("later", 20, 2)...); err != nil {
					return err
				}
			}
			got = append(got, id(r.Message))
		}
		return nil
	})
	e.once(got, all)
}

func replayPartitions(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	e.append(b, topic, messages("m", 60, 12)...)
	of := map[int]int{}
	for _, r := range e.replay(b, topic, durable.Range{}) {
		of[r.Partition]++
	}
	for p, n := range of {
		got := e.replay(b, topic, durable.Range{Partitions: []int{p}})
		for _, r := range got {
			if r.Partition != p {
				e.Fatalf("asked for partition %d, got a record of %d", p, r.Partition)
			}
		}
		if len(got) != n {
			e.Errorf("partition %d: got %d records, want %d", p, len(got), n)
		}
	}
}

func replayToTime(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	e.append(b, topic, messages("one", 3, 1)...)
	e.append(b, topic, messages("two", 3, 1)...)
	all := e.replay(b, topic, durable.Range{})
	if len(all) != 6 {
		e.Fatalf("Replay: got %d records, want 6", len(all))
	}
	end, want := all[5].StoredAt, 0
	for _, r := range all {
		if r.StoredAt.Before(end) {
			want++
		}
	}
	if got := e.replay(b, topic, durable.Range{ToTime: end}); len(got) != want {
		e.Errorf("to the time of the last record: got %d records, want %d", len(got), want)
	}
}

func replayFollowAfter(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	all := messages("m", 6, 1)
	ps := e.append(b, topic, all[:4]...)
	var got []string
	err := e.Within("Replay that follows", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for r, err := range b.Replay(ctx, topic, durable.Range{From: durable.After(durable.Cursor{0: ps[1]}), Follow: true}) {
			if err != nil {
				return err
			}
			got = append(got, id(r.Message))
			if len(got) == 2 {
				if _, err := b.Append(ctx, topic, all[4:]...); err != nil {
					return err
				}
			}
			if len(got) == 4 {
				cancel()
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		e.Errorf("got %v, want an end with the context", err)
	}
	e.once(got, all[2:])
}

func replayBreak(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	e.append(b, topic, messages("m", 30, 6)...)
	for range 3 {
		e.Do("Replay whose loop ends", func(ctx context.Context) error {
			for _, err := range b.Replay(ctx, topic, durable.Range{Follow: e.Caps.ReplayFollow}) {
				return err
			}
			return errors.New("Replay yields nothing")
		})
	}
	e.Do("Close after that", b.Close)
}

func replayBeside(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	all := messages("m", 12, 4)
	e.append(b, topic, all...)
	c := e.join(b, e.group(topic))
	half := e.collect(c, len(all))
	e.once(recordIDs(e.replay(b, topic, durable.Range{})), all)
	e.ack(c, half)
	e.once(recordIDs(e.replay(b, topic, durable.Range{})), all)
}
