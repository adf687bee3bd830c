package middleware

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/dualstream/dualstream/durable"
)

// The bounds of a window: how many events the first one has, and how many or how many bytes one has at most.
const (
	firstWindow = 1 << 10
	mostWindow  = 1 << 16
	mostBytes   = 64 << 20
)

// replay is Backend.Replay, in which a topic that does not exist is empty.
func replay(ctx context.Context, b durable.Backend, topic string, rng durable.Range) iter.Seq2[durable.Record, error] {
	return func(yield func(durable.Record, error) bool) {
		for r, err := range b.Replay(ctx, topic, rng) {
			if errors.Is(err, durable.ErrTopicNotFound) || !yield(r, err) {
				return
			}
		}
	}
}

// window is some events of the poison topic that follow each other.
type window struct {
	records []durable.Record
	size    int // bytes
	most    int // records
}

// add takes record, and tells whether the window is full.
func (w *window) add(record durable.Record) bool {
	w.records = append(w.records, record)
	w.size += durable.Size(record.Message)
	return len(w.records) >= w.most || w.size >= mostBytes
}

// next is an empty window, of twice as many records.
func (w *window) next() { *w = window{most: min(2*w.most, mostWindow)} }

// selected yields what is to be done, up to Limit.
func (r *redriving) selected(ctx context.Context) iter.Seq2[PoisonRecord, error] {
	return func(yield func(PoisonRecord, error) bool) {
		w := &window{most: firstWindow}
		for record, err := range replay(ctx, r.Backend, r.Topic, durable.Range{}) {
			if err != nil {
				yield(PoisonRecord{}, fmt.Errorf("middleware: redrive: read %q: %w", r.Topic, err))
				return
			}
			if !w.add(record) {
				continue
			}
			if !r.choose(ctx, w, yield) {
				return
			}
			w.next()
		}
		r.choose(ctx, w, yield)
	}
}

// choose yields what of w is to be done, and tells whether to go on.
func (r *redriving) choose(ctx context.Context, w *window, yield func(PoisonRecord, error) bool) bool {
	done, err := r.done(ctx, w)
	if err != nil {
		yield(PoisonRecord{}, err)
		return false
	}
	for i, record := range w.records {
		r.report.Read++
		if done[i] {
			r.report.Done++
			continue
		}
		p := RecordOf(record)
		if !r.Select.takes(p) {
			continue
		}
		r.report.Matched++
		if !yield(p, nil) || r.Limit > 0 && r.report.Matched >= r.Limit {
			return false
		}
	}
	return true
}

// done tells which records of w the notes name.
func (r *redriving) done(ctx context.Context, w *window) ([]bool, error) {
	out := make([]bool, len(w.records))
	if len(w.records) == 0 {
		return out, nil
	}
	at := make(map[durable.Position]int, len(w.records))
	for i, record := range w.records {
		at[record.Position] = i
	}
	for note, err := range replay(ctx, r.Backend, r.Topic+doneSuffix, durable.Range{}) {
		if err != nil {
			return nil, fmt.Errorf("middleware: redrive: read what was done: %w", err)
		}
		if i, ok := at[durable.Position(note.Message.Metadata[metaDonePosition])]; ok {
			out[i] = true
		}
	}
	return out, nil
}
