package durable_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// growing says that the topics of a backend of several partitions have but so many, or cannot tell where that is 0.
type growing struct {
	*broken
	known atomic.Int32
}

func (g *growing) DescribeTopic(ctx context.Context, topic string) (durable.TopicInfo, error) {
	if g.known.Load() == 0 {
		return durable.TopicInfo{}, durable.ErrUnavailable
	}
	info, err := g.broken.DescribeTopic(ctx, topic)
	if err == nil {
		info.Partitions = info.Partitions[:g.known.Load()]
	}
	return info, err
}

// fails ends what follows, and returns when it was begun again.
func (g *growing) fails() {
	begun := len(g.followed())
	g.breaks(errors.New("down"), nil)
	for len(g.followed()) == begun {
		runtime.Gosched()
	}
}

// TestAReaderThatGoesOnReadsThePartitionsThatWereAdded is of a topic that started at a time and has records in one of
// the partitions that the reader knows, or in all.
func TestAReaderThatGoesOnReadsThePartitionsThatWereAdded(t *testing.T) {
	const known = 4
	for _, filled := range []int{1, known} {
		t.Run(fmt.Sprint(filled), func(t *testing.T) {
			b := &growing{broken: newBroken(t, 2*known)}
			b.known.Store(known)
			r := newReader(t, b, durable.ReaderOptions{Topics: durable.Topics("a"), Start: durable.At(time.Now())})
			s := subscribe(t, r, durable.SubscribeOptions{})
			ids := idsByPartition(t, b, 2*known)
			put(t, b, "a", ids[:filled]...)
			wants(t, s, slices.Clone(ids[:filled])...)
			b.known.Store(2 * known)
			b.fails()
			put(t, b, "a", ids...)
			wants(t, s, slices.Clone(ids)...)
		})
	}
}

// TestAReaderGoesOnInPartitionsThatItReadWithoutKnowingThem is of a broker that cannot tell of them when it fails.
func TestAReaderGoesOnInPartitionsThatItReadWithoutKnowingThem(t *testing.T) {
	const known = 4
	for _, filled := range [][]int{{known + 1}, {0, known + 1}} {
		t.Run(fmt.Sprint(filled), func(t *testing.T) {
			b := &growing{broken: newBroken(t, 2*known)}
			b.known.Store(known)
			r := newReader(t, b, durable.ReaderOptions{Topics: durable.Topics("a"), Start: durable.At(time.Now())})
			s := subscribe(t, r, durable.SubscribeOptions{})
			ids := idsByPartition(t, b, 2*known)
			var want []string
			for _, p := range filled {
				want = append(want, ids[p])
			}
			put(t, b, "a", want...)
			wants(t, s, slices.Clone(want)...)
			b.known.Store(0)
			b.fails()
			put(t, b, "a", want...)
			wants(t, s, slices.Clone(want)...)
		})
	}
}

// idsByPartition is an id, which is its key, for each of n partitions.
func idsByPartition(t *testing.T, b durable.Backend, n int) []string {
	t.Helper()
	var keys []string
	for i := range 16 * n {
		keys = append(keys, fmt.Sprint("y", i))
	}
	put(t, b, "keys", keys...)
	ids := make([]string, n)
	for rec, err := range b.Replay(t.Context(), "keys", durable.Range{From: durable.Oldest()}) {
		if err != nil {
			t.Fatal(err)
		}
		ids[rec.Partition] = rec.Message.UUID
	}
	return ids
}
