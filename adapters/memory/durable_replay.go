package memory

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

const replayChunk = 256

// Replay implements durable.Backend. A topic that does not exist is made.
func (b *Backend) Replay(ctx context.Context, name string, r durable.Range) iter.Seq2[durable.Record, error] {
	ps, err := b.prepare(ctx, name, r)
	if err != nil {
		return func(yield func(durable.Record, error) bool) {
			yield(durable.Record{}, fmt.Errorf("memory: replay %q: %w", name, err))
		}
	}
	return func(yield func(durable.Record, error) bool) {
		run := &replay{backend: b, follow: r.Follow, parts: slices.Clone(ps), yield: yield}
		if err := run.run(ctx); err != nil {
			yield(durable.Record{}, fmt.Errorf("memory: replay %q: %w", name, err))
		}
	}
}

// stretch is what is to be read of one partition: [next, end), before untilNanos.
type stretch struct {
	topic      *topic
	partition  int
	next, end  int64
	untilNanos int64
}

// prepare resolves r at the time of the call.
func (b *Backend) prepare(ctx context.Context, name string, r durable.Range) ([]stretch, error) {
	if err := b.gate.Enter(ctx); err != nil {
		return nil, err
	}
	defer b.gate.Leave()
	if err := durable.CheckTopic(name); err != nil {
		return nil, err
	}
	t := b.topic(name)
	wanted, err := adapterkit.CheckRange(r, len(t.partitions))
	if err != nil {
		return nil, err
	}
	out := make([]stretch, 0, len(wanted))
	for _, p := range wanted {
		s, err := t.stretch(p, r)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (t *topic) stretch(p int, r durable.Range) (stretch, error) {
	_, head := t.partitions[p].bounds()
	s := stretch{topic: t, partition: p, end: head, untilNanos: math.MaxInt64}
	if r.Follow {
		s.end = math.MaxInt64
	}
	if !r.ToTime.IsZero() {
		s.untilNanos = r.ToTime.UnixNano()
	}
	var err error
	if s.next, err = adapterkit.Resolve(r.From, p, &place{topic: t, partition: p}); err != nil {
		return s, err
	}
	pos, named := r.To[p]
	if !named {
		return s, nil
	}
	to, err := adapterkit.OffsetOf(pos, p, t.incarnation)
	s.end = min(s.end, to+1)
	return s, err
}

// replay is one iteration over what was prepared.
type replay struct {
	backend *Backend
	follow  bool
	parts   []stretch
	yield   func(durable.Record, error) bool
	wake    chan struct{} // 1: one pending wake-up
	recs    []record
}

// run yields until everything is read, the caller stops or an error ends it.
func (r *replay) run(ctx context.Context) error {
	if r.follow {
		r.wake = make(chan struct{}, 1) // one pending wake-up
		for _, s := range r.parts {
			log := s.topic.partitions[s.partition]
			log.watch(r.wake)
			defer log.unwatch(r.wake)
		}
	}
	for {
		n, stop, err := r.pass(ctx)
		if err != nil || stop {
			return err
		}
		r.parts = slices.DeleteFunc(r.parts, func(s stretch) bool { return s.next >= s.end })
		if len(r.parts) == 0 {
			return nil
		}
		if n > 0 {
			continue
		}
		select {
		case <-r.wake:
		case <-r.backend.gate.Done():
			return durable.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pass reads a chunk of every partition.
func (r *replay) pass(ctx context.Context) (n int, stop bool, err error) {
	for i := range r.parts {
		s := &r.parts[i]
		recs, next, ok := s.topic.partitions[s.partition].read(r.recs[:0], s.next, s.end, replayChunk)
		r.recs = recs
		if !ok {
			return n, true, fmt.Errorf("offset %d of partition %d was trimmed: %w", s.next, s.partition, durable.ErrPositionExpired)
		}
		for j := range recs {
			if err := adapterkit.Ended(ctx, r.backend.gate.Done()); err != nil {
				return n, true, err
			}
			if recs[j].at >= s.untilNanos {
				s.end = s.next
				break
			}
			if !r.yield(s.record(&recs[j]), nil) {
				return n, true, nil
			}
			s.next = recs[j].offset + 1
			n++
		}
		if s.next < s.end {
			s.next = max(s.next, next)
		}
	}
	return n, false, nil
}

func (s *stretch) record(rec *record) durable.Record {
	data := make([]byte, 0, len(rec.payload))
	return durable.Record{
		Message:   rec.message(&data),
		Topic:     s.topic.name,
		Partition: s.partition,
		Position:  s.topic.position(s.partition, rec.offset),
		Key:       rec.key,
		StoredAt:  time.Unix(0, rec.at),
	}
}
