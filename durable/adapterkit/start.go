package adapterkit

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// CheckStart returns an *InvalidError where the cursor of s names a partition that a topic of so many does not have.
func CheckStart(s durable.Start, partitions int) error { return checkCursor(s.Cursor(), partitions) }

func checkCursor(c durable.Cursor, partitions int) error {
	for p := range c {
		if err := checkPartition(p, partitions); err != nil {
			return err
		}
	}
	return nil
}

func checkPartition(p, partitions int) error {
	if p < 0 || p >= partitions {
		return durable.Invalid("partition", strconv.Itoa(p), fmt.Sprintf("the topic has %d, from 0", partitions))
	}
	return nil
}

// CheckRange returns the partitions that r selects of a topic of so many, or an *InvalidError where r names one that
// the topic does not have.
func CheckRange(r durable.Range, partitions int) ([]int, error) {
	if err := errors.Join(CheckStart(r.From, partitions), checkCursor(r.To, partitions)); err != nil {
		return nil, err
	}
	if r.Partitions == nil {
		all := make([]int, partitions)
		for p := range all {
			all[p] = p
		}
		return all, nil
	}
	for _, p := range r.Partitions {
		if err := checkPartition(p, partitions); err != nil {
			return nil, err
		}
	}
	return r.Partitions, nil
}

// Log is one partition, as far as Resolve has to know it.
type Log interface {
	// Bounds are the offset of the oldest record that is stored and that of the next one.
	Bounds() (oldest, end int64)
	// Behind is the offset behind the record at p. A position of another incarnation of the topic, or one that is no
	// longer stored, is ErrPositionExpired.
	Behind(p durable.Position) (int64, error)
}

// Clock is a Log that finds records by their time.
type Clock interface {
	// Since is the offset of the first record stored at t or later.
	Since(t time.Time) int64
}

// Resolve is the offset at which s begins in a partition. A start that is not stored is ErrPositionExpired together
// with the offset of the oldest record. A time is ErrUnsupported where l is not a Clock.
func Resolve(s durable.Start, partition int, l Log) (int64, error) {
	oldest, end := l.Bounds()
	switch s.Kind() {
	case durable.StartNewest:
		return end, nil
	case durable.StartAt:
		clock, ok := l.(Clock)
		if !ok {
			return oldest, durable.ErrUnsupported
		}
		return clock.Since(s.Time()), nil
	case durable.StartAfter:
		pos, named := s.Cursor()[partition]
		if !named {
			return oldest, nil
		}
		at, err := l.Behind(pos)
		if err == nil && (at < oldest || at > end) {
			err = fmt.Errorf("position %q: %w", pos, durable.ErrPositionExpired)
		}
		if err != nil {
			return oldest, err
		}
		return at, nil
	default:
		return oldest, nil
	}
}

// OnExpired is nil instead of an ErrPositionExpired where policy is to go on at the oldest record. That is told to
// jumped, which logs and counts it.
func OnExpired(policy durable.ExpiredPolicy, err error, jumped func(error)) error {
	if policy != durable.ExpiredOldest || !errors.Is(err, durable.ErrPositionExpired) {
		return err
	}
	jumped(err)
	return nil
}
