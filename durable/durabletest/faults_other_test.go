package durabletest

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// ranges wraps a backend by a change of what is asked of Replay.
func ranges(f func(*durable.Range)) func(testing.TB) func(durable.Backend) durable.Backend {
	return plain(func(next durable.Backend) durable.Backend {
		return &backend{full: next.(full), replay: func(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
			f(&r)
			return next.Replay(ctx, topic, r)
		}}
	})
}

func otherFaults() []fault {
	const all = "Replay/YieldsEverythingAndEndsAtTheHead"
	const closed = "Close/EveryMethodThenReturnsErrClosed"
	return []fault{
		{name: "replays with a silent gap", check: all, wrap: plain(skipOne)},
		{name: "passes over what was trimmed", check: "Replay/OfATrimmedPositionIsErrPositionExpired", wrap: plain(passOver)},
		{name: "never ends a bounded replay", check: all, wrap: ranges(func(r *durable.Range) { r.Follow = true })},
		{name: "a following replay ends", check: "Replay/FollowsUntilItsContextEnds", wrap: ranges(func(r *durable.Range) { r.Follow = false })},
		{name: "ignores the end of a range", check: "Replay/BeginsAfterAndEndsAtACursor", wrap: ranges(func(r *durable.Range) { r.To = nil })},
		{name: "ignores the time of a range", check: "Replay/StartsAtATime", wrap: ranges(func(r *durable.Range) { r.From = durable.Oldest() })},
		{name: "panics on Append after Close", check: closed, wrap: plain(panics)},
		{name: "Append after Close succeeds", check: closed, wrap: plain(func(next durable.Backend) durable.Backend {
			return &backend{full: next.(full), append: func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
				ps, err := next.Append(ctx, topic, msgs...)
				if errors.Is(err, durable.ErrClosed) {
					return ps, nil
				}
				return ps, err
			}}
		})},
		{name: "blocks Close", check: "Close/IsBoundedAndUnblocksFetch", wrap: blocks},
		{name: "leaks a goroutine", check: "Close/LeavesNoGoroutine", wrap: leaks},
	}
}

func skipOne(next durable.Backend) durable.Backend {
	return &backend{full: next.(full), replay: func(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
		return func(yield func(durable.Record, error) bool) {
			n := 0
			for rec, err := range next.Replay(ctx, topic, r) {
				if n++; n == 100 {
					continue
				}
				if !yield(rec, err) {
					return
				}
			}
		}
	}}
}

func passOver(next durable.Backend) durable.Backend {
	return &backend{full: next.(full), replay: func(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
		return func(yield func(durable.Record, error) bool) {
			for rec, err := range next.Replay(ctx, topic, r) {
				if !errors.Is(err, durable.ErrPositionExpired) {
					if !yield(rec, err) {
						return
					}
					continue
				}
				r.From = durable.Oldest()
				next.Replay(ctx, topic, r)(yield)
				return
			}
		}
	}}
}

func panics(next durable.Backend) durable.Backend {
	return &backend{full: next.(full), append: func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		ps, err := next.Append(ctx, topic, msgs...)
		if errors.Is(err, durable.ErrClosed) {
			panic("send on closed channel")
		}
		return ps, err
	}}
}

// blocks holds Close back until the test ends.
func blocks(t testing.TB) func(durable.Backend) durable.Backend {
	end := untilEnd(t)
	return func(next durable.Backend) durable.Backend {
		used := false
		return &backend{
			full: next.(full),
			consume: func(ctx context.Context, g durable.Group) (durable.Consumer, error) {
				used = true
				return next.Consume(ctx, g)
			},
			close: func(ctx context.Context) error {
				if used {
					<-end.Done()
				}
				return next.Close(ctx)
			},
		}
	}
}

// leaks starts a goroutine with every member that ends with the test, not with Close.
func leaks(t testing.TB) func(durable.Backend) durable.Backend {
	end := untilEnd(t)
	return func(next durable.Backend) durable.Backend {
		return members(next, func(*consumer) {
			go func() { <-end.Done() }()
		})
	}
}
