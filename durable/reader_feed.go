package durable

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
)

// feed reads one topic of a Reader.
type feed struct {
	reader *Reader
	topic  string
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when nothing of the topic is read any more

	first iter.Seq2[Record, error] // begun when the topic was added, so that Newest is as of then
	start Start
	parts int // how many partitions the topic has; 0: unknown

	mu      sync.Mutex
	seen    Cursor // the last record that was read of each partition
	records int64  // read so far
	failing bool   // the last replay failed, and nothing was read since
}

func newFeed(r *Reader, topic string, start Start) *feed {
	f := &feed{reader: r, topic: topic, start: start, done: make(chan struct{}), seen: Cursor{}}
	f.ctx, f.cancel = context.WithCancel(r.life)
	return f
}

// ended forgets f, whose reading has ended or never begun.
func (f *feed) ended() {
	f.cancel()
	f.reader.mu.Lock()
	if f.reader.topics[f.topic] == f {
		delete(f.reader.topics, f.topic)
	}
	f.reader.mu.Unlock()
	close(f.done)
}

// prepare settles where f begins and begins the replay.
func (f *feed) prepare(ctx context.Context) error {
	caps := f.reader.backend.Capabilities()
	if f.start.Kind() == StartAt && !caps.StartAtTime {
		return fmt.Errorf("start at a time: %w", ErrUnsupported)
	}
	if err := f.settle(ctx); err != nil {
		return err
	}
	if !caps.Partitions {
		f.parts = 1
	}
	admin, ok := f.reader.backend.(Administrator)
	if ok {
		if err := f.locate(ctx, admin); err != nil {
			return err
		}
	}
	f.first = f.replay(f.ctx, Range{From: f.start, Follow: true})
	return nil
}

// locate learns how many partitions there are, and makes Newest the positions that it means now.
func (f *feed) locate(ctx context.Context, admin Administrator) error {
	info, err := admin.DescribeTopic(ctx, f.topic)
	if errors.Is(err, ErrTopicNotFound) { // but it can be replayed: nothing is stored yet
		if f.start.Kind() == StartNewest {
			f.start = Oldest()
		}
		return nil
	}
	if err != nil {
		return err
	}
	f.parts = len(info.Partitions)
	if f.start.Kind() != StartNewest {
		return nil
	}
	newest := Cursor{}
	for _, p := range info.Partitions {
		if p.Newest != "" {
			newest[p.Partition] = p.Newest
		}
	}
	f.start = After(newest)
	return nil
}

// settle makes sure that the start of f is stored, and takes those of its positions away that are not, where the
// reader may go on at the oldest record.
func (f *feed) settle(ctx context.Context) error {
	err := f.probe(ctx, Range{From: f.start})
	if f.reader.o.OnExpired == ExpiredFail || !errors.Is(err, ErrPositionExpired) {
		return err
	}
	f.jumped(err)
	left, err := f.stored(ctx, f.start.Cursor())
	f.start = After(left)
	return err
}

// stored is c without the positions that are not stored any more.
func (f *feed) stored(ctx context.Context, c Cursor) (Cursor, error) {
	left := Cursor{}
	for p, pos := range c {
		one := Range{From: After(Cursor{p: pos}), Partitions: []int{p}}
		err := f.probe(ctx, one)
		if err == nil {
			left[p] = pos
		} else if !errors.Is(err, ErrPositionExpired) {
			return c, err
		}
	}
	return left, nil
}

// probe is the error with which a replay of r begins.
func (f *feed) probe(ctx context.Context, r Range) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, err := range f.replay(ctx, r) {
		return err
	}
	return nil
}

func (f *feed) jumped(err error) {
	f.reader.jumps.Add(1)
	f.reader.o.Logger.Warn("durable: a position of a reader is no longer stored, going on at the oldest record",
		"topic", f.topic, "error", err)
}

func (f *feed) replay(ctx context.Context, r Range) iter.Seq2[Record, error] {
	return f.reader.backend.Replay(ctx, f.topic, r)
}
