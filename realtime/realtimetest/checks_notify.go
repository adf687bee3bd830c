package realtimetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/dualstream/dualstream/realtime"
)

func notifyChecks() []check {
	return []check{
		{Name: "Notify/ArrivesWhole", Run: notifyWhole},
		{Name: "Notify/KeepsTheOrderOnAChannel", Run: notifyOrder},
		{Name: "Notify/ArrivesAtEverySubscriptionOnce", Run: notifyOnce},
		{Name: "Notify/SendsNothingOfACallThatIsInvalid", Run: notifyInvalid},
		{Name: "Notify/ReturnsWhenItsContextIsDone", Run: notifyContext},
		{Name: "Notify/NeitherChangesNorKeepsItsArguments", Run: notifyKeeps},
	}
}

func notifyWhole(e *env) {
	b := e.open()
	n := realtime.Notification{
		Channel: e.channel(`a*[1]\é:b`), ID: "id-1", Type: "type", SourceType: "source type", SourceID: `a*[1]\"é:b`,
		Time: time.Date(2024, 2, 29, 1, 2, 3, 4005, time.UTC), Topic: "topic", Position: "5-0",
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	bare := realtime.Notification{Channel: n.Channel, ID: "id-2"}
	s := e.subscribe(b, n.Channel)
	e.Do("Notify", func(ctx context.Context) error { return b.Notify(ctx, n, bare) })
	for _, want := range []realtime.Notification{n, bare} {
		if got := e.next(s); got.Gap != realtime.GapNone || got.Notification != want {
			e.Errorf("Next: got %+v, want %+v", got, want)
		}
	}
}

func notifyOrder(e *env) {
	b, channel, ids := e.open(), e.channel("1"), numbers(200)
	s := e.subscribe(b, channel)
	e.notify(b, channel, ids[:100]...)
	for _, id := range ids[100:] {
		e.notify(b, channel, id)
	}
	e.want(s, channel, ids...)
}

func notifyOnce(e *env) {
	b, channel, ids := e.open(), e.channel("1"), numbers(20)
	selectors := []string{channel, channel}
	if e.Caps.Patterns {
		selectors = append(selectors, realtime.Pattern(e.channel("*")), realtime.Pattern(e.channel("?")))
	}
	one, two := e.subscribe(b, selectors...), e.subscribe(b, channel)
	e.notify(b, channel, ids...)
	for _, s := range []realtime.Subscription{one, two} {
		e.want(s, channel, ids...)
		e.quiet(s)
	}
}

func notifyInvalid(e *env) {
	b, channel := e.open(), e.channel("1")
	s := e.subscribe(b, channel)
	err := e.Within("Notify", func(ctx context.Context) error {
		return b.Notify(ctx, realtime.Notification{Channel: channel, ID: "valid"}, realtime.Notification{Channel: channel})
	})
	var invalid *realtime.InvalidError
	if !errors.Is(err, realtime.ErrInvalid) || !errors.As(err, &invalid) {
		e.Errorf("Notify without an id: got %v, want an *InvalidError", err)
	}
	e.quiet(s)
}

func notifyContext(e *env) {
	b, channel := e.open(), e.channel("1")
	s := e.subscribe(b, channel)
	err := e.Within("Notify with a context that is done", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return b.Notify(ctx, realtime.Notification{Channel: channel, ID: "1"})
	})
	if !errors.Is(err, context.Canceled) {
		e.Errorf("Notify with a context that is done: got %v, want context.Canceled", err)
	}
	e.quiet(s)
}

func notifyKeeps(e *env) {
	b, channel := e.open(), e.channel("1")
	s := e.subscribe(b, channel)
	ns := []realtime.Notification{{Channel: channel, ID: "1"}, {Channel: channel, ID: "2"}}
	before := slices.Clone(ns)
	e.Do("Notify", func(ctx context.Context) error { return b.Notify(ctx, ns...) })
	if !slices.Equal(ns, before) {
		e.Errorf("Notify changed its arguments: got %+v, want %+v", ns, before)
	}
	ns[0].ID, ns[1].ID = "changed", "changed"
	e.want(s, channel, "1", "2")
}
