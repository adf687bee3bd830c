package durable

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"
	"time"
)

// errOver is the reason of a Replay with Follow that ended without one.
var errOver = errors.New("the replay ended")

// run reads the topic until its context ends, or until an error that does not pass.
func (f *feed) run() {
	defer f.ended()
	if f.reader.listeners(f.ctx) == nil {
		return
	}
	cause := f.drain(f.ctx, f.first)
	for n := 1; f.ctx.Err() == nil; n++ {
		ranges, err := f.resume(cause)
		if err != nil {
			f.pass(read{end: &TopicError{Topic: f.topic, Err: err}})
			return
		}
		f.failed(cause)
		if !f.pause(f.reader.o.Backoff(n, cause)) {
			return
		}
		began, before := time.Now(), f.records
		cause = f.follow(ranges)
		if f.records > before || time.Since(began) > backoffMost {
			n = 0
		}
	}
}

// failed logs the first failure in a row.
func (f *feed) failed(err error) {
	if !f.failing {
		f.reader.o.Logger.Warn("durable: a reader lost its topic, trying again", "topic", f.topic, "error", err)
	}
	f.failing = true
}

func (f *feed) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.ctx.Done():
		return false
	}
}

// follow hands out what is in ranges until the replay of one of them ends; its error is returned once all have.
func (f *feed) follow(ranges []Range) error {
	ctx, cancel := context.WithCancelCause(f.ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, r := range ranges {
		wg.Go(func() { cancel(f.drain(ctx, f.replay(ctx, r))) })
	}
	wg.Wait()
	return context.Cause(ctx)
}

// drain hands out what records yields. It never returns nil.
func (f *feed) drain(ctx context.Context, records iter.Seq2[Record, error]) error {
	for rec, err := range records {
		if err != nil {
			return err
		}
		f.note(&rec)
		f.pass(read{record: rec, size: Size(rec.Message)})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return errOver
}

// note remembers how far the topic was read.
func (f *feed) note(rec *Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[rec.Partition] = rec.Position
	f.records++
	if f.failing {
		f.failing = false
		f.reader.o.Logger.Info("durable: a reader has its topic again", "topic", f.topic)
	}
}

// pass hands x to the subscriptions that select it, each of which gets a message of its own, and waits for one where
// there is none.
func (f *feed) pass(x read) {
	subs := f.reader.listeners(f.ctx)
	if x.end != nil {
		for _, s := range subs {
			s.put(f.ctx, x)
		}
		return
	}
	var to *Subscription
	for _, s := range subs {
		if !s.selects(&x.record) {
			continue
		}
		if to != nil {
			y := x
			y.record.Message = copyMessage(context.Background(), x.record.Message)
			to.put(f.ctx, y)
		}
		to = s
	}
	if to != nil {
		to.put(f.ctx, x)
	}
}

// resume is what is to be read after err, so that there is neither a gap nor a repetition. An error is final.
func (f *feed) resume(err error) ([]Range, error) {
	for _, final := range []error{ErrClosed, ErrUnsupported, ErrInvalid, ErrTopicNotFound} {
		if errors.Is(err, final) {
			return nil, err
		}
	}
	if errors.Is(err, ErrPositionExpired) {
		if f.reader.o.OnExpired == ExpiredFail {
			return nil, err
		}
		f.jumped(err)
		if err := f.jump(); err != nil {
			f.reader.o.Logger.Warn("durable: a reader cannot tell yet what is stored", "topic", f.topic, "error", err)
		}
	}
	if k := f.start.Kind(); k != StartAt && k != StartNewest {
		return []Range{{From: After(f.reached()), Follow: true}}, nil
	}
	return f.split(err)
}

// reached is the cursor that f began after, moved to what was seen.
func (f *feed) reached() Cursor {
	c := Cursor{}
	maps.Copy(c, f.start.Cursor())
	maps.Copy(c, f.seen)
	return c
}

// jump forgets the positions that are no longer stored.
func (f *feed) jump() (err error) {
	if f.start.Kind() == StartAfter {
		c, err := f.stored(f.ctx, f.reached())
		clear(f.seen)
		f.start = After(c)
		return err
	}
	f.seen, err = f.stored(f.ctx, f.seen)
	if f.start.Kind() == StartNewest {
		f.start = Oldest()
	}
	return err
}

// split goes on behind what was seen, and begins as the topic did in partitions of which nothing was.
func (f *feed) split(err error) ([]Range, error) {
	if len(f.seen) == 0 && f.start.Kind() == StartAt {
		return []Range{{From: f.start, Follow: true}}, nil
	}
	f.recount()
	var seen, unseen []int
	for p := range f.parts {
		if _, ok := f.seen[p]; ok {
			seen = append(seen, p)
		} else {
			unseen = append(unseen, p)
		}
	}
	behind := Range{From: After(f.seen), Follow: true}
	switch {
	case len(seen) > 0 && len(unseen) == 0:
		return []Range{behind}, nil // with the partitions that are added later
	case len(seen) > 0 && f.start.Kind() == StartAt:
		behind.Partitions = seen
		return []Range{behind, {From: f.start, Partitions: unseen, Follow: true}}, nil
	default:
		return nil, fmt.Errorf("nobody knows where to go on without a gap: %w", err)
	}
}

// recount learns of partitions that were added; a broker that cannot tell now leaves those that are known or were read.
func (f *feed) recount() {
	for p := range f.seen {
		f.parts = max(f.parts, p+1)
	}
	admin, ok := f.reader.backend.(Administrator)
	if !ok {
		return
	}
	if info, err := admin.DescribeTopic(f.ctx, f.topic); err == nil {
		f.parts = max(f.parts, len(info.Partitions))
	}
}
