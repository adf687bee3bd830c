package durabletest

import (
	"context"
	"iter"
	"slices"
	"testing"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

// rich is a full backend some of whose methods of administration are replaced.
type rich struct {
	full
	trim   func(ctx context.Context, topic string, t durable.Trim) (durable.Trimmed, error)
	erase  func(ctx context.Context, topic string, ps ...durable.Position) (int64, error)
	replay func(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error]
	groups func(ctx context.Context, topic string) ([]string, error)
	reset  func(ctx context.Context, group, topic string, start durable.Start) error
	drop   func(ctx context.Context, group, topic string) error
}

// richly wraps memory by rich, changed.
func richly(change func(*rich)) func(testing.TB) func(durable.Backend) durable.Backend {
	return func(testing.TB) func(durable.Backend) durable.Backend {
		return func(next durable.Backend) durable.Backend {
			b := &rich{full: next.(full)}
			b.trim, b.erase, b.replay = b.full.Trim, b.full.Remove, b.full.Replay
			b.groups, b.reset, b.drop = b.full.Groups, b.full.ResetGroup, b.full.DeleteGroup
			change(b)
			return b
		}
	}
}

func (b *rich) Trim(ctx context.Context, topic string, t durable.Trim) (durable.Trimmed, error) {
	return b.trim(ctx, topic, t)
}

func (b *rich) Remove(ctx context.Context, topic string, ps ...durable.Position) (int64, error) {
	return b.erase(ctx, topic, ps...)
}

func (b *rich) Replay(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
	return b.replay(ctx, topic, r)
}

func (b *rich) Groups(ctx context.Context, topic string) ([]string, error) {
	return b.groups(ctx, topic)
}

func (b *rich) ResetGroup(ctx context.Context, group, topic string, start durable.Start) error {
	return b.reset(ctx, group, topic, start)
}

func (b *rich) DeleteGroup(ctx context.Context, group, topic string) error {
	return b.drop(ctx, group, topic)
}

func TestTheCorrectRichBackendPassesTheChecksOfItsAbilities(t *testing.T) {
	s := suite()
	s.Checks = slices.Concat(trimChecks(), groupChecks())
	s.Passes(t, func(t testing.TB) Harness { return harness(t, memory.Config{}, richly(func(*rich) {})(t)) })
}
