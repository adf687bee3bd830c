package durabletest

import (
	"errors"
	"slices"
	"time"

	"github.com/dualstream/dualstream/durable"
)

func limitChecks() []check {
	timed := func(a abilities, _ Harness) bool { return a.Replay && a.StartAtTime }
	return []check{
		{Name: "Append/NeverStoresAfterAHoleInSilence", Needs: reads, Run: appendHole},
		{Name: "Consume/MembersShareAGroupWithoutOrder", Needs: groups, Run: competing},
		{Name: "Consume/ATrimmedStartFailsOrJumpsAsItsPolicySays", Needs: trims, Run: consumeTrimmed},
		{Name: "Replay/StartsAtATime", Needs: timed, Run: replayAt},
		{Name: "Capabilities/WhatIsFalseIsRefusedWithErrUnsupported", Run: unsupported},
	}
}

// appendHole holds what Append says about each message against what is stored.
func appendHole(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	msgs := messages("m", 4, 1)
	msgs[1].Metadata["bad\nkey"] = "x"
	ctx, cancel := e.Soon()
	defer cancel()
	_, err := b.Append(ctx, topic, msgs...)
	var batch *durable.BatchError
	if !errors.As(err, &batch) || len(batch.Outcomes) != len(msgs) {
		e.Fatalf("got %v, want a *BatchError with an outcome for each message", err)
	}
	told := 0
	for _, o := range batch.Outcomes {
		if o.Status == durable.Stored {
			told++
		}
	}
	mark := messages("mark", 1, 1)
	e.append(b, topic, mark...)
	got := recordIDs(e.stored(b, topic, told+1))
	hole := false
	for i, o := range batch.Outcomes {
		is := slices.Contains(got, id(msgs[i]))
		if is != (o.Status == durable.Stored) && o.Status != durable.Unknown {
			e.Errorf("message %d: Append said %v, in the store: %v", i, o.Status, is)
		}
		if is && hole && !o.AfterGap {
			e.Errorf("message %d is stored after a hole and does not say so", i)
		}
		hole = hole || o.Status != durable.Stored
	}
}

func competing(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, e.Partitions)
	all := messages("m", 30, 5)
	g := e.group(topic)
	g.Ordering = durable.None
	leaver, stayer := e.join(b, g), e.join(e.open(), g)
	e.append(b, topic, all...)
	ctx, cancel := e.Soon()
	defer cancel()
	seen := map[string]bool{}
	fetched := make(chan struct{})
	go func() {
		defer close(fetched)
		_, _ = leaver.Fetch(ctx, 5) // never acknowledged
	}()
	left := make(chan struct{})
	go func() {
		defer close(left)
		select {
		case <-fetched:
		case <-time.After(e.Quiet):
		}
		_ = leaver.Close(ctx)
	}()
	for len(seen) < len(all) {
		ds, err := stayer.Fetch(ctx, 10)
		if err != nil && ctx.Err() != nil {
			e.Errorf("got %d of %d messages, then %v", len(seen), len(all), err)
			break
		}
		for _, d := range ds {
			seen[id(d.Message)] = true
		}
		e.ack(stayer, ds)
	}
	<-left
	<-fetched
}

func consumeTrimmed(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	all := messages("m", 10, 1)
	ps := e.append(b, topic, all...)
	e.Trim(e.TB, topic)
	g := e.group(topic)
	g.Start = durable.After(durable.Cursor{0: ps[0]})
	ctx, cancel := e.Soon()
	defer cancel()
	c, err := b.Consume(ctx, g)
	if err == nil {
		_, err = c.Fetch(ctx, 1)
		e.leave(c)
	}
	if !errors.Is(err, durable.ErrPositionExpired) {
		e.Errorf("ExpiredFail: got %v, want ErrPositionExpired", err)
	}
	g.Name, g.OnExpired = "jumps-"+topic, durable.ExpiredOldest
	last := e.append(b, topic, messages("last", 1, 1)...)
	ds := e.collect(e.join(b, g), 1)
	if len(ds) == 0 || ds[0].Position == ps[1] || len(last) != 1 {
		e.Errorf("ExpiredOldest: got %d deliveries, want to go on at the oldest that is stored", len(ds))
	}
}

func replayAt(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	e.append(b, topic, messages("one", 3, 1)...)
	e.append(b, topic, messages("two", 3, 1)...)
	var want []string
	all := e.replay(b, topic, durable.Range{})
	if len(all) == 0 {
		e.Fatalf("Replay yields nothing")
	}
	at := all[len(all)-1].StoredAt
	for _, r := range all {
		if !r.StoredAt.Before(at) {
			want = append(want, id(r.Message))
		}
	}
	if got := recordIDs(e.replay(b, topic, durable.Range{From: durable.At(at)})); !slices.Equal(got, want) {
		e.Errorf("from the time of the last record: got %v, want %v", got, want)
	}
	if got := e.replay(b, topic, durable.Range{From: durable.At(at.Add(time.Hour))}); len(got) != 0 {
		e.Errorf("from a later time: got %d records, want none", len(got))
	}
}

func unsupported(e *env) {
	b, topic := e.open(), e.NewTopic(e.TB, 1)
	if got := b.Capabilities(); got != e.Caps.Capabilities {
		e.Errorf("Capabilities changed: got %+v, then %+v", e.Caps.Capabilities, got)
	}
	refused := func(what string, can bool, err error) {
		if !can && !errors.Is(err, durable.ErrUnsupported) {
			e.Errorf("%s: got %v, want ErrUnsupported", what, err)
		}
	}
	if !e.Caps.Groups || !e.Caps.StartAtTime {
		g := e.group(topic)
		g.Start = durable.At(time.Unix(1, 0))
		_, err := b.Consume(e.Ctx, g)
		refused("Consume", false, err)
	}
	e.lacking(b, topic, refused)
	if e.Caps.Groups && !e.Caps.DynamicTopics {
		refused("SetTopics", false, e.join(b, e.group(topic)).SetTopics(e.Ctx, durable.Topics(topic)...))
	}
	if !e.Caps.Replay || !e.Caps.ReplayFollow {
		var err error
		for _, err = range b.Replay(e.Ctx, topic, durable.Range{Follow: true}) {
			break
		}
		refused("Replay", false, err)
	}
}

// lacking asks for the starts that the capabilities lack.
func (e *env) lacking(b durable.Backend, topic string, refused func(what string, can bool, err error)) {
	for what, c := range map[string]struct {
		start durable.Start
		can   bool
	}{
		"Consume from Newest": {durable.Newest(), !e.Caps.OldestOnly},
		"Consume from After":  {durable.After(durable.Cursor{0: "1"}), !e.Caps.NoPositions},
	} {
		if c.can {
			continue
		}
		g := e.group(topic)
		g.Start = c.start
		_, err := b.Consume(e.Ctx, g)
		refused(what, false, err)
	}
}
