package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// run passes on what the readers deliver, and starts readers again for partitions whose reader failed.
func (s *replay) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.wg.Wait() // the readers, of which some are left where the topic was made again
	defer cancel()
	tick := time.NewTicker(s.b.cfg.PartitionCheck)
	defer tick.Stop()
	next, looked := tick.C, make(chan look) // next is nil while a look is under way, which may take as long as a broker does
	readers, retries := 0, 0
	todo := s.parts
	for {
		started, left, err := s.start(ctx, todo)
		readers, todo = readers+started, left
		if len(todo) == 0 && readers == 0 {
			return nil
		}
		var c chunk
		if readers > 0 {
			select {
			case c = <-s.read:
			case <-pauseFor(todo): // the readers may be idle
			case <-next:
				next = nil
				s.wg.Go(func() { deliver(ctx, looked, s.review()) })
				continue
			case l := <-looked:
				if l.err != nil {
					return l.err
				}
				next, todo, s.parts = tick.C, append(todo, l.fresh...), append(s.parts, l.fresh...)
				continue
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if len(c.recs) > 0 && !deliver(ctx, s.out, chunk{recs: c.recs}) {
			return context.Cause(ctx)
		}
		if c.fetched {
			retries = 0
		}
		if c.end {
			readers--
			todo, err = append(todo, c.left...), errors.Join(err, c.err)
		}
		if len(todo) == 0 {
			continue
		}
		if err := s.sameTopic(); err != nil {
			return err
		}
		if errors.Is(err, durable.ErrPositionExpired) {
			return err
		}
		if retries++; retries > replayRetries || isDenied(err) {
			return translate(err)
		}
		if err := s.pause(ctx); err != nil {
			return err
		}
	}
}

// sameTopic reports a topic that was made again.
func (s *replay) sameTopic() error {
	id, err := incarnation(s.client, s.topic)
	if err != nil || id == s.of || id == "" {
		return nil // what fails here fails elsewhere, too
	}
	return fmt.Errorf("%w: %w", errRemade, durable.ErrPositionExpired)
}

// look is what a review found: partitions that were added, or that the topic was made again.
type look struct {
	fresh []*part
	err   error
}

// review looks for what a reader at the head does not see. There is one at a time.
func (s *replay) review() (found look) {
	if !s.follow {
		return found
	}
	if err := s.sameTopic(); err != nil || !s.all {
		return look{err: err}
	}
	now, err := freshPartitions(s.client, s.topic)
	if err != nil {
		return found // the next look is soon
	}
	for _, p := range now {
		if slices.ContainsFunc(s.parts, func(x *part) bool { return x.partition == p }) {
			continue
		}
		oldest, err := offsetAt(s.client, s.topic, p, sarama.OffsetOldest)
		if err != nil {
			return found
		}
		x := &part{topic: s.topic, partition: p, next: oldest, end: -1, bytes: fetchBytes, until: s.until}
		found.fresh = append(found.fresh, x)
	}
	return found
}

// pauseFor is a pause where something is to do, else none that ends.
func pauseFor(todo []*part) <-chan time.Time {
	if len(todo) == 0 {
		return nil
	}
	return time.After(replayPause)
}

// pause waits, finds the leaders anew and reports a topic that was made again.
func (s *replay) pause(ctx context.Context) error {
	select {
	case <-time.After(replayPause):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	_ = s.client.RefreshMetadata(s.topic)
	return s.sameTopic() // after that: what has leaders now is not read at offsets of the one before
}

// start starts one reader per leader; left are the partitions without one.
func (s *replay) start(ctx context.Context, todo []*part) (started int, left []*part, err error) {
	by := map[string][]*part{}
	for _, p := range todo {
		if p.done() {
			continue
		}
		leader, e := s.client.Leader(s.topic, p.partition)
		if e != nil {
			left, err = append(left, p), e
			continue
		}
		by[leader.Addr()] = append(by[leader.Addr()], p)
	}
	for addr, parts := range by {
		s.wg.Go(func() { deliver(ctx, s.read, s.readAll(ctx, addr, parts)) })
	}
	return len(by), left, err
}

// readAll fetches from one leader until its partitions are done, an error or the end of ctx, and returns the reader's
// last chunk.
func (s *replay) readAll(ctx context.Context, addr string, parts []*part) chunk {
	b, err := dial(addr, s.client.Config())
	if err != nil {
		return chunk{end: true, left: parts, err: err}
	}
	defer func() { _ = b.Close() }()
	defer context.AfterFunc(ctx, func() { _ = b.Close() })()
	var wait time.Duration
	if s.follow {
		wait = followWait
	}
	for ctx.Err() == nil {
		req := newFetch(wait)
		open := parts[:0:0]
		for _, p := range parts {
			if !p.done() {
				open = append(open, p)
				req.AddBlock(s.topic, p.partition, p.next, p.bytes, -1)
			}
		}
		if parts = open; len(parts) == 0 {
			break
		}
		resp, err := b.Fetch(req)
		if err != nil {
			return chunk{end: true, left: parts, err: err}
		}
		recs, err := s.digest(resp, parts)
		if err != nil {
			return chunk{recs: recs, end: true, left: parts, err: err}
		}
		if !deliver(ctx, s.read, chunk{recs: recs, fetched: true}) {
			break
		}
	}
	return chunk{end: true}
}

// deliver reports false where ctx ended before somebody took c.
func deliver[T any](ctx context.Context, to chan<- T, c T) bool {
	select {
	case to <- c:
		return true
	case <-ctx.Done():
		return false
	}
}

// digest decodes a response and moves the parts on.
func (s *replay) digest(resp *sarama.FetchResponse, parts []*part) ([]durable.Record, error) {
	if err := code(sarama.KError(resp.ErrorCode)); err != nil {
		return nil, err
	}
	var out []durable.Record
	var errs error
	for _, p := range parts {
		block := resp.GetBlock(s.topic, p.partition)
		switch {
		case block == nil:
			continue // the response was full
		case errors.Is(block.Err, sarama.ErrOffsetOutOfRange):
			return out, fmt.Errorf("offset %d of partition %d was trimmed: %w", p.next, p.partition, durable.ErrPositionExpired)
		case !errors.Is(block.Err, sarama.ErrNoError):
			errs = errors.Join(errs, block.Err)
			continue
		}
		recs, err := p.scan(block)
		var values strings.Builder
		values.Grow(headerBytes(recs))
		for _, r := range recs {
			d := s.b.decode(s.topic, p.partition, r, &values)
			out = append(out, durable.Record{
				Message: d.msg, Topic: s.topic, Partition: int(p.partition), Position: position(p.partition, r.offset, s.of),
				Key: d.key, StoredAt: r.at, DecodeErr: d.err,
			})
		}
		errs = errors.Join(errs, err)
	}
	return out, errs
}
