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

// run passes on what the readers deliver, and has readers started again for partitions whose reader failed. It asks no
// broker itself: one that is silent holds up only partitions that have no reader.
func (s *replay) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.wg.Wait() // the readers, of which some are left where the topic was made again
	defer cancel()
	tick := time.NewTicker(s.b.cfg.PartitionCheck)
	defer tick.Stop()
	next, looked := tick.C, make(chan look) // next is nil while a look is under way, which may take as long as a broker does
	placed, placing := make(chan placement), false
	todo, readers := unread{parts: s.parts}, 0
	for {
		if len(todo.parts) > 0 && !placing {
			placing = true
			u := todo.next()
			s.wg.Go(func() { deliver(ctx, placed, s.place(ctx, u)) })
		}
		if readers == 0 && !placing {
			return nil
		}
		select {
		case c := <-s.read:
			if len(c.recs) > 0 && !deliver(ctx, s.out, chunk{recs: c.recs}) {
				return context.Cause(ctx)
			}
			if c.fetched {
				todo.retries = 0
			}
			if c.end {
				readers--
				todo.add(c.left, c.err)
			}
		case p := <-placed:
			if p.err != nil {
				return p.err
			}
			placing = false
			s.tell(p)
			readers += s.start(ctx, p.at)
			todo.add(p.left, p.why)
		case <-next:
			next = nil
			s.wg.Go(func() { deliver(ctx, looked, s.review()) })
		case l := <-looked:
			if l.err != nil {
				return l.err
			}
			next, s.parts = tick.C, append(s.parts, l.fresh...)
			todo.add(l.fresh, nil)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// unread are partitions without a reader.
type unread struct {
	parts   []*part
	why     error // they lost theirs; nil: they had none yet
	retries int   // in a row without a successful fetch
}

func (u *unread) add(parts []*part, why error) {
	u.parts, u.why = append(u.parts, parts...), errors.Join(u.why, why)
}

// next is what is to be placed now; u goes on without it.
func (u *unread) next() unread {
	if u.why != nil {
		u.retries++
	}
	now := *u
	u.parts, u.why = nil, nil
	return now
}

// placement is where partitions are read, by the address of their leaders; left are those without one, for the reason
// why. err ends the replay.
type placement struct {
	at   map[string][]*part
	left []*part
	why  error
	err  error
}

// place finds the leaders of u, after a pause where a reader of theirs failed. It may take as long as a broker does.
func (s *replay) place(ctx context.Context, u unread) placement {
	if u.why != nil {
		if err := s.again(ctx, u); err != nil {
			return placement{err: err}
		}
	}
	p := placement{at: map[string][]*part{}}
	for _, x := range u.parts {
		if x.done() {
			continue
		}
		leader, err := s.client.Leader(s.topic, x.partition)
		if err != nil {
			p.left, p.why = append(p.left, x), err
			continue
		}
		p.at[leader.Addr()] = append(p.at[leader.Addr()], x)
	}
	return p
}

// tell logs that partitions of a replay that follows have no reader, once, and when they have one again.
func (s *replay) tell(p placement) {
	if lost := len(p.left) > 0; !s.follow || lost == s.lost {
		return
	}
	s.lost = !s.lost
	if !s.lost {
		s.b.cfg.Logger.Info("kafka: a replay reads all of its partitions again", "topic", s.topic)
		return
	}
	s.b.cfg.Logger.Warn("kafka: a replay has partitions without a leader, trying again", "topic", s.topic,
		"partitions", len(p.left), "error", p.why)
}

// again tells why u is not to be read again, nil where it is.
func (s *replay) again(ctx context.Context, u unread) error {
	if err := s.sameTopic(); err != nil {
		return err
	}
	if errors.Is(u.why, durable.ErrPositionExpired) {
		return u.why
	}
	if u.retries > replayRetries || isDenied(u.why) {
		return translate(u.why)
	}
	return s.pause(ctx)
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

// start starts a reader for each leader and returns how many.
func (s *replay) start(ctx context.Context, at map[string][]*part) int {
	for addr, parts := range at {
		s.wg.Go(func() { deliver(ctx, s.read, s.readAll(ctx, addr, parts)) })
	}
	return len(at)
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
