package adapterkit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// Replay yields what r selects of a topic of one partition, which open opens and whose end is looked for every poll
// (above 0) under r.Follow. It ends with gate. A start or an end in time is ErrUnsupported where it is not a Clock, and
// what was trimmed before it was read is ErrPositionExpired. Name is the backend's, for errors.
func Replay(ctx context.Context, name string, gate *Gate, topic string, r durable.Range, poll time.Duration, open func() (ReadCloser, error)) iter.Seq2[durable.Record, error] {
	return func(yield func(durable.Record, error) bool) {
		err := Ended(ctx, gate.Done())
		var l ReadCloser
		if err == nil {
			l, err = open()
		}
		if err == nil {
			err = errors.Join(replay(ctx, gate.Done(), l, r, poll, yield), l.Close())
		}
		if err != nil {
			yield(durable.Record{}, fmt.Errorf("%s: replay %q: %w", name, topic, err))
		}
	}
}

// ReadCloser is a Reader that is closed after its use.
type ReadCloser interface {
	Reader
	Close() error
}

func replay(ctx context.Context, closed <-chan struct{}, l Reader, r durable.Range, poll time.Duration, yield func(durable.Record, error) bool) error {
	partitions, err := CheckRange(r, 1)
	if err != nil || !slices.Contains(partitions, 0) {
		return err
	}
	from, err := Resolve(r.From, 0, l)
	if err != nil {
		return err
	}
	to, err := endOf(r, l)
	if err != nil {
		return err
	}
	if _, end := l.Bounds(); !r.Follow {
		to = min(to, end)
	}
	return Until(ctx, closed, time.Tick(poll), func() (over bool, err error) {
		oldest, end := l.Bounds()
		if from < min(oldest, to) {
			return true, fmt.Errorf("offset %d was trimmed: %w", from, durable.ErrPositionExpired)
		}
		for from < min(to, end) {
			rec, next, err := l.Read(from)
			if err = errors.Join(err, Ended(ctx, closed)); err != nil {
				return true, err
			}
			if !r.ToTime.IsZero() && !rec.StoredAt.Before(r.ToTime) || !yield(rec, nil) {
				return true, nil
			}
			from = next
		}
		return from >= to, l.Look()
	})
}

// endOf is the offset at which r ends.
func endOf(r durable.Range, l Log) (int64, error) {
	if _, ok := l.(Clock); !ok && !r.ToTime.IsZero() {
		return 0, durable.ErrUnsupported
	}
	if p, named := r.To[0]; named {
		return l.Behind(p)
	}
	return math.MaxInt64, nil
}
