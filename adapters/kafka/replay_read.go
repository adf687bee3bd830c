package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// run passes on what the readers deliver, and starts readers again for partitions whose reader failed.
func (s *replay) run(ctx context.Context) error {
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
			var again <-chan time.Time
			if len(todo) > 0 {
				again = time.After(replayPause) // the readers may be idle
			}
			select {
			case c = <-s.read:
			case <-again:
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
		if retries++; errors.Is(err, durable.ErrPositionExpired) || retries > replayRetries {
			return translate(err)
		}
		if err := s.pause(ctx); err != nil {
			return err
		}
	}
}

func (s *replay) pause(ctx context.Context) error {
	select {
	case <-time.After(replayPause):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	_ = s.client.RefreshMetadata(s.topic)
	return nil
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
func deliver(ctx context.Context, to chan<- chunk, c chunk) bool {
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
		for _, r := range recs {
			d := s.b.decode(s.topic, p.partition, r)
			out = append(out, durable.Record{
				Message: d.msg, Topic: s.topic, Partition: int(p.partition), Position: position(p.partition, r.offset),
				Key: d.key, StoredAt: r.at, DecodeErr: d.err,
			})
		}
		errs = errors.Join(errs, err)
	}
	return out, errs
}
