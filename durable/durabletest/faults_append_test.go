package durabletest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// appends wraps a backend by another Append.
func appends(f func(next durable.Backend) appendFunc) func(testing.TB) func(durable.Backend) durable.Backend {
	return plain(func(next durable.Backend) durable.Backend { return &backend{full: next.(full), append: f(next)} })
}

func appendFaults() []fault {
	const once = "Append/StoresWhatItAcknowledgedExactlyOnce"
	const owner = "Append/NeitherChangesNorKeepsTheMessage"
	const hole = "Append/NeverStoresAfterAHoleInSilence"
	return []fault{
		{name: "acknowledged but not stored", check: once, wrap: appends(forgetLast)},
		{name: "stores twice", check: once, wrap: appends(storeTwice)},
		{name: "stores after a hole without saying so", check: hole, wrap: appends(storeRest(durable.NotSent))},
		{name: "stores after a hole without AfterGap", check: hole, wrap: appends(storeRest(durable.Stored))},
		{name: "sends before it checked", check: "Append/ChecksEveryMessageAndTellsWhatIsStored", wrap: appends(storeRest(durable.Stored))},
		{name: "reorders a key", check: "Append/KeepsTheOrderOfAKey", wrap: appends(reverse)},
		{name: "ignores ctx in Append", check: "Append/EndsWithItsContext", wrap: appends(ignoreContext)},
		{name: "one ctx cancels another append", check: "Append/OneCallersContextNeverEndsAnothers", wrap: appends(borrowContext)},
		{name: "positions out of order", check: "Append/PositionsAreThoseOfReplay", wrap: appends(turnPositions)},
		{name: "positions empty", check: "Append/ReturnsOnePositionPerMessage", wrap: appends(noPositions)},
		{name: "drops metadata", check: "Append/KeepsPayloadMetadataAndKey", wrap: appends(dropMetadata)},
		{name: "changes the callers message", check: owner, wrap: appends(stamp)},
		{name: "keeps the callers message", check: owner, wrap: keepMessages},
		{name: "accepts an invalid topic", check: "Append/RefusesAnInvalidTopic", wrap: appends(anyTopic)},
		{name: "refuses an empty batch", check: "Append/OfNothingIsNothing", wrap: appends(refuseEmpty)},
	}
}

func forgetLast(next durable.Backend) appendFunc {
	return func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		if len(msgs) < 2 {
			return next.Append(ctx, topic, msgs...)
		}
		ps, err := next.Append(ctx, topic, msgs[:len(msgs)-1]...)
		return append(ps, "0:99"), err
	}
}

func storeTwice(next durable.Backend) appendFunc {
	return func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		if _, err := next.Append(ctx, topic, msgs...); err != nil {
			return nil, err
		}
		return next.Append(ctx, topic, msgs...)
	}
}

// storeRest stores what is good in a bad batch, and says status of what follows the bad message.
func storeRest(status durable.Status) func(durable.Backend) appendFunc {
	return func(next durable.Backend) appendFunc {
		return func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
			ps, err := next.Append(ctx, topic, msgs...)
			var batch *durable.BatchError
			if !errors.As(err, &batch) {
				return ps, err
			}
			seen := false
			for i, m := range msgs {
				if batch.Outcomes[i].Status == durable.Rejected {
					seen = true
					continue
				}
				if _, err := next.Append(ctx, topic, m); err != nil {
					return ps, err
				}
				batch.Outcomes[i] = durable.Outcome{Status: durable.Stored}
				if seen {
					batch.Outcomes[i].Status = status
				}
			}
			return ps, batch
		}
	}
}

func reverse(next durable.Backend) appendFunc {
	return func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		msgs = slices.Clone(msgs)
		slices.Reverse(msgs)
		ps, err := next.Append(ctx, topic, msgs...)
		slices.Reverse(ps)
		return ps, err
	}
}

func ignoreContext(next durable.Backend) appendFunc {
	return func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		return next.Append(context.WithoutCancel(ctx), topic, msgs...)
	}
}

// borrowContext appends under the context of the caller before.
func borrowContext(next durable.Backend) appendFunc {
	var mu sync.Mutex
	last := context.Background()
	return func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		mu.Lock()
		defer mu.Unlock()
		before := last
		last = ctx
		return next.Append(before, topic, msgs...)
	}
}

func turnPositions(next durable.Backend) appendFunc {
	return func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		ps, err := next.Append(ctx, topic, msgs...)
		slices.Reverse(ps)
		return ps, err
	}
}

func noPositions(next durable.Backend) appendFunc {
	return func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		_, err := next.Append(ctx, topic, msgs...)
		return make([]durable.Position, len(msgs)), err
	}
}

func dropMetadata(next durable.Backend) appendFunc {
	return func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		bare := make([]*message.Message, len(msgs))
		for i, m := range msgs {
			bare[i] = message.NewMessage(m.UUID, m.Payload)
			bare[i].Metadata[durable.MetaID] = id(m)
			bare[i].Metadata[durable.MetaPartitionKey] = durable.Key(m)
		}
		return next.Append(ctx, topic, bare...)
	}
}

func stamp(next durable.Backend) appendFunc {
	return func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		for _, m := range msgs {
			m.Metadata["stamp"] = topic
		}
		return next.Append(ctx, topic, msgs...)
	}
}

// keepMessages yields the very messages that were appended.
func keepMessages(testing.TB) func(durable.Backend) durable.Backend {
	kept := map[string]*message.Message{}
	return func(next durable.Backend) durable.Backend {
		b := &backend{full: next.(full)}
		b.append = func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
			for _, m := range msgs {
				kept[id(m)] = m
			}
			return next.Append(ctx, topic, msgs...)
		}
		b.replay = func(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
			return func(yield func(durable.Record, error) bool) {
				for rec, err := range next.Replay(ctx, topic, r) {
					if err == nil {
						rec.Message = kept[id(rec.Message)]
					}
					if !yield(rec, err) {
						return
					}
				}
			}
		}
		return b
	}
}

func anyTopic(next durable.Backend) appendFunc {
	return func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		if durable.CheckTopic(topic) != nil {
			topic = "other"
		}
		return next.Append(ctx, topic, msgs...)
	}
}

func refuseEmpty(next durable.Backend) appendFunc {
	return func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
		if len(msgs) == 0 {
			return nil, durable.ErrInvalid
		}
		return next.Append(ctx, topic, msgs...)
	}
}
