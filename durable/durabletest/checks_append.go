package durabletest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

func appendChecks() []check {
	return []check{
		{Name: "Append/ReturnsOnePositionPerMessage", Run: appendPositions},
		{Name: "Append/StoresWhatItAcknowledgedExactlyOnce", Needs: reads, Run: appendOnce},
		{Name: "Append/KeepsPayloadMetadataAndKey", Needs: reads, Run: appendContent},
		{Name: "Append/NeitherChangesNorKeepsTheMessage", Needs: reads, Run: appendOwnership},
		{Name: "Append/KeepsTheOrderOfAKey", Needs: reads, Run: appendOrder},
		{Name: "Append/ChecksEveryMessageAndTellsWhatIsStored", Needs: reads, Run: appendBadElement},
		{Name: "Append/RefusesAnInvalidTopic", Run: appendBadTopic},
		{Name: "Append/OfNothingIsNothing", Run: appendNothing},
		{Name: "Append/EndsWithItsContext", Run: appendContext},
		{Name: "Append/OneCallersContextNeverEndsAnothers", Run: appendOthersContext},
		{Name: "Append/PositionsAreThoseOfReplay", Needs: replays, Run: appendReplayPositions},
	}
}

func appendPositions(e *env) {
	ps := e.append(e.open(), e.NewTopic(e.TB, e.Partitions), messages("m", 20, 5)...)
	if len(ps) != 20 {
		e.Fatalf("got %d positions for 20 messages", len(ps))
	}
	if e.Caps.NoPositions {
		for i, p := range ps {
			if p != "" {
				e.Errorf("position %d: got %q, want none: the capabilities lack them", i, p)
			}
		}
		return
	}
	seen := map[durable.Position]bool{"": true}
	for i, p := range ps {
		if seen[p] {
			e.Errorf("position %d: got %q, want a new one that is not empty", i, p)
		}
		seen[p] = true
	}
}

func appendOnce(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	all := messages("m", 60, 7)
	e.append(b, topic, all[0])
	e.append(b, topic, all[1:20]...)
	e.append(b, topic, all[20:]...)
	e.once(recordIDs(e.stored(b, topic, len(all))), all)
}

func appendContent(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	m := messages("m", 1, 1)[0]
	m.Payload = []byte{0, 1, 0xff, '\n', '"', 0}
	m.Metadata["application"] = "ünïcode, = ; \" and spaces"
	e.append(b, topic, m)
	got := e.stored(b, topic, 1)
	if len(got) != 1 {
		e.Fatalf("got %d records, want 1", len(got))
	}
	r := got[0]
	if !slices.Equal(r.Message.Payload, m.Payload) || r.Message.UUID != m.UUID {
		e.Errorf("got payload %q and UUID %q, want %q and %q", r.Message.Payload, r.Message.UUID, m.Payload, m.UUID)
	}
	for k, v := range m.Metadata {
		if r.Message.Metadata[k] != v {
			e.Errorf("metadata %q: got %q, want %q", k, r.Message.Metadata[k], v)
		}
	}
	if r.Key != "key0" || r.Topic != topic || r.DecodeErr != nil {
		e.Errorf("got key %q, topic %q, DecodeErr %v, want key0, %q and nil", r.Key, r.Topic, r.DecodeErr, topic)
	}
}

func appendOwnership(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	m := messages("m", 1, 1)[0]
	payload, meta, uuid := string(m.Payload), maps.Clone(m.Metadata), m.UUID
	e.append(b, topic, m)
	if string(m.Payload) != payload || !maps.Equal(m.Metadata, meta) || m.UUID != uuid {
		e.Errorf("Append changed the message: got %+v", m)
	}
	m.Payload[0] = '!'
	m.Metadata["later"] = "x"
	got := e.stored(b, topic, 1)
	if len(got) != 1 || string(got[0].Message.Payload) != payload || got[0].Message.Metadata["later"] != "" {
		e.Errorf("a change after Append is seen in the store: got %+v", got)
	}
}

func appendOrder(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	all := messages("m", 90, 3)
	for part := range slices.Chunk(all, 30) {
		e.append(b, topic, part...)
	}
	e.inOrder(recordIDs(e.stored(b, topic, len(all))), all)
}

// inOrder fails the test unless the ids of each key come as in want.
func (e *env) inOrder(got []string, want []*message.Message) {
	e.Helper()
	place, key := map[string]int{}, map[string]string{}
	for i, m := range want {
		place[id(m)], key[id(m)] = i, durable.Key(m)
	}
	last := map[string]int{}
	for _, g := range got {
		k := key[g]
		if before, seen := last[k]; seen && place[g] < before {
			e.Errorf("key %s: message %s came after %s", k, g, id(want[before]))
		}
		last[k] = place[g]
	}
}

func appendBadElement(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	msgs := messages("m", 3, 1)
	msgs[1].Metadata["bad\nkey"] = "x"
	ctx, cancel := e.Soon()
	defer cancel()
	ps, err := b.Append(ctx, topic, msgs...)
	var batch *durable.BatchError
	if !errors.As(err, &batch) || !errors.Is(err, durable.ErrInvalid) {
		e.Fatalf("got %v, want a *BatchError that matches ErrInvalid", err)
	}
	if len(batch.Outcomes) != 3 || len(ps) != 3 {
		e.Fatalf("got %d outcomes and %d positions, want 3", len(batch.Outcomes), len(ps))
	}
	for i, want := range []durable.Status{durable.NotSent, durable.Rejected, durable.NotSent} {
		if o := batch.Outcomes[i]; o.Status != want || ps[i] != "" {
			e.Errorf("message %d: got %v and position %q, want %v and none", i, o.Status, ps[i], want)
		}
	}
	after := messages("after", 1, 1)
	e.append(b, topic, after...)
	e.once(recordIDs(e.stored(b, topic, 1)), after)
}

func appendBadTopic(e *env) {
	b := e.open()
	for _, topic := range []string{"", ".", "a b", "a/b", "ü"} {
		ctx, cancel := e.Soon()
		_, err := b.Append(ctx, topic, messages("m", 1, 1)...)
		cancel()
		if !errors.Is(err, durable.ErrInvalid) {
			e.Errorf("topic %q: got %v, want ErrInvalid", topic, err)
		}
	}
}

func appendNothing(e *env) {
	ps, err := e.open().Append(e.Ctx, e.NewTopic(e.TB, 1))
	if len(ps) != 0 || err != nil {
		e.Errorf("got %v and %v, want nothing", ps, err)
	}
}

func appendContext(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	ctx, cancel := context.WithCancel(e.Ctx)
	cancel()
	err := e.Within("Append with a context that is done", func(context.Context) error {
		_, err := b.Append(ctx, topic, messages("m", 2, 1)...)
		return err
	})
	if !errors.Is(err, context.Canceled) {
		e.Errorf("got %v, want context.Canceled", err)
	}
}

func appendOthersContext(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	all := messages("m", 40, 4)
	var wg sync.WaitGroup
	for i, m := range all {
		wg.Go(func() {
			if i%2 == 0 {
				if _, err := b.Append(e.Ctx, topic, m); err != nil {
					e.Errorf("Append whose own context lives: got %v, want nil", err)
				}
				return
			}
			ctx, cancel := context.WithCancel(e.Ctx)
			go cancel()
			_, _ = b.Append(ctx, topic, m) // its outcome is open
			cancel()
		})
	}
	wg.Wait()
	ctx, cancel := context.WithCancel(e.Ctx)
	_, _ = b.Append(ctx, topic, messages("ended", 1, 1)...)
	cancel()
	e.append(b, topic, messages("after", 1, 1)...)
}

func appendReplayPositions(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	all := messages("m", 30, 3)
	ps := e.append(b, topic, all...)
	where := map[string]durable.Position{}
	for i, m := range all {
		where[id(m)] = ps[i]
	}
	for _, r := range e.stored(b, topic, len(all)) {
		if where[id(r.Message)] != r.Position {
			e.Errorf("message %s: Append said %q, Replay says %q", id(r.Message), where[id(r.Message)], r.Position)
		}
	}
}
