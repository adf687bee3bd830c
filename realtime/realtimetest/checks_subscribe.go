package realtimetest

import (
	"context"
	"errors"

	"github.com/dualstream/dualstream/realtime"
)

func subscribeChecks() []check {
	return []check{
		{Name: "Subscribe/MissesNothingThatIsSentAfterIt", Run: subscribeMisses},
		{Name: "Subscribe/YieldsOnlyItsChannels", Run: subscribeOnly},
		{Name: "Subscribe/TakesPatterns", Needs: patterns, Run: subscribePatterns},
		{Name: "Subscribe/RefusesPatternsItLacks", Needs: noPatterns, Run: subscribeUnsupported},
		{Name: "Subscribe/NamesInvalidArguments", Run: subscribeInvalid},
		{Name: "Subscribe/ItsContextBoundsTheCallAlone", Run: subscribeContext},
		{Name: "Next/ReturnsWhenItsContextIsDone", Run: nextContext},
		{Name: "Add/MissesNothingThatIsSentAfterIt", Run: addMisses},
		{Name: "Add/TwiceIsOnce", Run: addTwice},
		{Name: "Remove/YieldsNothingThatIsSentAfterIt", Run: removeEnds},
	}
}

const rounds = 20 // of what a race could hide

func subscribeMisses(e *env) {
	b := e.open()
	for _, id := range numbers(rounds) {
		s := e.subscribe(b, e.channel(id), e.channel(id+"-other"))
		e.notify(b, e.channel(id), "1")
		e.want(s, e.channel(id), "1")
		e.notify(b, e.channel(id+"-other"), "2") // channels may overtake each other
		e.want(s, e.channel(id+"-other"), "2")
		e.Do("Close of the subscription", func(context.Context) error { return s.Close() })
	}
}

func subscribeOnly(e *env) {
	b, literal := e.open(), e.channel("a*[1]?")
	s := e.subscribe(b, literal)
	for _, other := range []string{"ab1x", "a*1?", "a*[1]", "a*[1]??", "A*[1]?", ""} {
		e.notify(b, e.channel(other), "other")
	}
	e.notify(b, literal, "1")
	e.want(s, literal, "1")
	e.quiet(s)
}

func subscribePatterns(e *env) {
	b := e.open()
	globs := []string{e.channel("a*"), e.channel("?b[0-9]"), e.channel("[^x]"), e.channel(realtime.Escape("c*[1]"))}
	channels := []string{"a", "ab1", "bb7", "bbx", "x", "y", "c*[1]", "c*1", "cc1", "zz"}
	for _, glob := range globs {
		s := e.subscribe(b, realtime.Pattern(glob))
		for _, id := range channels {
			e.notify(b, e.channel(id), id)
			if realtime.Match(glob, e.channel(id)) {
				e.want(s, e.channel(id), id) // before the next, as channels may overtake each other
			}
		}
		e.quiet(s)
		e.Do("Close of the subscription", func(context.Context) error { return s.Close() })
	}
}

func subscribeUnsupported(e *env) {
	b := e.open()
	err := e.Within("Subscribe", func(ctx context.Context) error {
		_, err := b.Subscribe(ctx, realtime.Pattern(e.channel("*")))
		return err
	})
	if !errors.Is(err, realtime.ErrUnsupported) {
		e.Errorf("Subscribe to a pattern: got %v, want ErrUnsupported", err)
	}
}

func subscribeInvalid(e *env) {
	b := e.open()
	for _, channels := range [][]string{nil, {""}, {e.channel("1"), "a\nb"}, {"\xff"}} {
		err := e.Within("Subscribe", func(ctx context.Context) error {
			_, err := b.Subscribe(ctx, channels...)
			return err
		})
		if !errors.Is(err, realtime.ErrInvalid) {
			e.Errorf("Subscribe(%q): got %v, want ErrInvalid", channels, err)
		}
	}
}

func subscribeContext(e *env) {
	b, channel := e.open(), e.channel("1")
	s := e.subscribe(b, channel) // its context has ended now
	e.notify(b, channel, "1")
	e.want(s, channel, "1")
	err := e.Within("Subscribe with a context that is done", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		_, err := b.Subscribe(ctx, channel)
		return err
	})
	if !errors.Is(err, context.Canceled) {
		e.Errorf("Subscribe with a context that is done: got %v, want context.Canceled", err)
	}
}

func nextContext(e *env) {
	b, channel := e.open(), e.channel("1")
	s := e.subscribe(b, channel)
	started, cancelled := make(chan struct{}), make(chan struct{})
	err := e.Within("Next whose context is cancelled", func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		go func() {
			defer close(cancelled)
			<-started
			cancel()
		}()
		close(started)
		_, err := s.Next(ctx)
		return err
	})
	<-cancelled
	if !errors.Is(err, context.Canceled) {
		e.Errorf("Next whose context is cancelled: got %v, want context.Canceled", err)
		return
	}
	e.notify(b, channel, "1")
	e.want(s, channel, "1")
}

func addMisses(e *env) {
	b := e.open()
	s := e.subscribe(b, e.channel("first"))
	for _, id := range numbers(rounds) {
		e.Do("Add", func(ctx context.Context) error { return s.Add(ctx, e.channel(id)) })
		e.notify(b, e.channel(id), id)
		e.want(s, e.channel(id), id)
	}
	e.notify(b, e.channel("first"), "still")
	e.want(s, e.channel("first"), "still")
}

func addTwice(e *env) {
	b, channel := e.open(), e.channel("1")
	s := e.subscribe(b, channel)
	for range 2 {
		e.Do("Add", func(ctx context.Context) error { return s.Add(ctx, channel) })
	}
	e.notify(b, channel, "1")
	e.want(s, channel, "1")
	e.quiet(s)
	e.Do("Remove", func(ctx context.Context) error { return s.Remove(ctx, channel) })
	e.notify(b, channel, "2")
	e.quiet(s)
}

func removeEnds(e *env) {
	b := e.open()
	s := e.subscribe(b, e.channel("1"), e.channel("2"))
	e.Do("Remove", func(ctx context.Context) error { return s.Remove(ctx, e.channel("1"), e.channel("never there")) })
	e.notify(b, e.channel("1"), "removed")
	e.notify(b, e.channel("2"), "kept")
	e.want(s, e.channel("2"), "kept")
	e.quiet(s)
}
