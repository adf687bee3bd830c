package redisstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
)

const (
	replayPage = 500
	endless    = "18446744073709551615-18446744073709551615" // the greatest id
)

// Replay implements durable.Backend. It has a connection of its own while it is iterated. Where From and To end is
// settled at the call.
func (b *Backend) Replay(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
	parts, err := b.stretches(ctx, topic, r)
	if err != nil {
		err = fmt.Errorf("redisstream: replay %q: %w", topic, err)
		return func(yield func(durable.Record, error) bool) { yield(durable.Record{}, err) }
	}
	return func(yield func(durable.Record, error) bool) {
		client := b.cfg.Client(rediskit.Blocking)
		done, watcher := make(chan struct{}), sync.WaitGroup{}
		watcher.Go(func() { // closing the client ends a read that is blocked on the server
			select {
			case <-ctx.Done():
			case <-b.stop:
			case <-done:
			}
			_ = client.Close()
		})
		defer func() {
			close(done)
			watcher.Wait()
		}()
		run := &replay{b: b, topic: topic, client: client, follow: r.Follow, yield: yield}
		for _, s := range parts {
			copied := *s
			run.parts = append(run.parts, &copied)
		}
		if err := run.run(ctx); err != nil {
			yield(durable.Record{}, fmt.Errorf("redisstream: replay %q: %w", topic, err))
		}
	}
}

// stretch is what is to be read of one partition: behind after, up to end.
type stretch struct {
	partition, of int
	key           string
	after, end    string
	lagging       bool // the last page was full: the entry at after must still be stored
}

// stretches settles r against what is stored now.
func (b *Backend) stretches(ctx context.Context, topic string, r durable.Range) ([]*stretch, error) {
	n, _, err := b.shapeOf(ctx, topic)
	if err != nil {
		return nil, err
	}
	for _, c := range []durable.Cursor{r.From.Cursor(), r.To} {
		if err := checkCursor(c, n); err != nil {
			return nil, err
		}
	}
	wanted := r.Partitions
	if wanted == nil {
		for p := range n {
			wanted = append(wanted, p)
		}
	}
	out := make([]*stretch, 0, len(wanted))
	for _, p := range wanted {
		if p < 0 || p >= n {
			return nil, durable.Invalid("partition", strconv.Itoa(p), fmt.Sprintf("the topic has %d", n))
		}
		info, _, err := b.info(ctx, streamKey(topic, p, n))
		if err != nil {
			return nil, err
		}
		s, err := newStretch(topic, p, n, r, info)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// checkCursor returns an error unless every position of c belongs to the partition that it stands at.
func checkCursor(c durable.Cursor, n int) error {
	for p, pos := range c {
		in, _, err := parsePosition(pos, n)
		if err != nil {
			return err
		}
		if p < 0 || p >= n || n > 1 && in != p {
			return durable.Invalid("cursor", fmt.Sprintf("%d: %s", p, pos), fmt.Sprintf("use partitions below %d with positions of their own", n))
		}
	}
	return nil
}

func newStretch(topic string, p, n int, r durable.Range, info *redis.XInfoStream) (*stretch, error) {
	s := &stretch{partition: p, of: n, key: streamKey(topic, p, n), after: beginning, end: info.LastGeneratedID}
	if r.Follow {
		s.end = endless
	}
	if pos, ok := r.To[p]; ok {
		if _, id, err := parsePosition(pos, n); err == nil && compareIDs(id, s.end) < 0 {
			s.end = id
		}
	}
	if !r.ToTime.IsZero() {
		if id := idBefore(r.ToTime); compareIDs(id, s.end) < 0 {
			s.end = id
		}
	}
	switch r.From.Kind() {
	case durable.StartNewest:
		s.after = info.LastGeneratedID
	case durable.StartAt:
		s.after = idBefore(r.From.Time())
	case durable.StartAfter:
		pos, ok := r.From.Cursor()[p]
		if !ok {
			break
		}
		_, id, err := parsePosition(pos, n)
		if err != nil {
			return nil, err
		}
		if expired(info, id) {
			return nil, fmt.Errorf("position %s: %w", pos, durable.ErrPositionExpired)
		}
		s.after = id
	}
	return s, nil
}

// expired tells whether something behind id may be gone, or id was never given out by this stream. Trimming leaves
// no trace but the first entry that is left.
func expired(info *redis.XInfoStream, id string) bool {
	if id == beginning {
		return info.EntriesAdded > info.Length
	}
	switch c := compareIDs(id, info.LastGeneratedID); {
	case c > 0:
		return true
	case c == 0:
		return false
	default:
		return info.Length == 0 || compareIDs(id, info.FirstEntry.ID) < 0
	}
}

// replay is one iteration.
type replay struct {
	b      *Backend
	topic  string
	client *redis.Client
	follow bool
	parts  []*stretch
	yield  func(durable.Record, error) bool
}

// errEnough ends an iteration whose caller has stopped it.
var errEnough = errors.New("enough")

// run yields until everything is read, the caller stops or an error ends it.
func (r *replay) run(ctx context.Context) error {
	for len(r.parts) > 0 {
		read := 0
		for i, s := range r.parts {
			n, over, err := r.page(ctx, s)
			for err == nil && !over && !r.follow {
				n, over, err = r.page(ctx, s)
			}
			if errors.Is(err, errEnough) {
				return nil
			}
			if err != nil {
				return r.cause(ctx, err)
			}
			read += n
			if over {
				r.parts[i] = nil
			}
		}
		r.parts = slices.DeleteFunc(r.parts, func(s *stretch) bool { return s == nil })
		if read > 0 || len(r.parts) == 0 {
			continue
		}
		if err := r.await(ctx); err != nil {
			return r.cause(ctx, err)
		}
	}
	return nil
}

// cause prefers why the connection was closed to the error that this gave.
func (r *replay) cause(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.b.closed():
		return durable.ErrClosed
	case errors.Is(err, durable.ErrPositionExpired):
		return err
	default:
		return unavailable(err)
	}
}

// page yields up to a page of s and tells whether s is over.
func (r *replay) page(ctx context.Context, s *stretch) (n int, over bool, err error) {
	if compareIDs(s.after, s.end) >= 0 {
		return 0, true, nil
	}
	from, to := "("+s.after, "+"
	if s.lagging {
		from = s.after
	}
	if !r.follow {
		to = s.end
	}
	reply, err := r.client.Do(ctx, "xrange", s.key, from, to, "count", replayPage).Result()
	if err != nil {
		return 0, false, err
	}
	es, err := parseEntries(reply, 1)
	if err != nil {
		return 0, false, err
	}
	full := len(es) >= replayPage
	if s.lagging {
		if es, err = r.contiguous(ctx, s, es); err != nil {
			return 0, false, err
		}
	}
	s.lagging = full
	for _, e := range es {
		if compareIDs(e.id, s.end) > 0 {
			return n, true, nil
		}
		if ctx.Err() != nil || r.b.closed() {
			return n, false, durable.ErrClosed // cause tells which
		}
		s.after = e.id
		n++
		if !r.yield(r.record(s, e), nil) {
			return n, false, errEnough
		}
	}
	return n, !full && !r.follow, nil
}

// contiguous takes the entry at s.after off es. Where it was trimmed, what followed may be gone too.
func (r *replay) contiguous(ctx context.Context, s *stretch, es []entry) ([]entry, error) {
	if len(es) > 0 && es[0].id == s.after {
		return es[1:], nil
	}
	first, err := r.client.XRangeN(ctx, s.key, "-", "+", 1).Result()
	if err != nil {
		return nil, err
	}
	if len(first) == 0 || compareIDs(first[0].ID, s.after) > 0 {
		return nil, fmt.Errorf("trimming overtook position %s: %w", position(s.after, s.partition, s.of), durable.ErrPositionExpired)
	}
	return es, nil
}

// record is e as a record of s.
func (r *replay) record(s *stretch, e entry) durable.Record {
	rec := durable.Record{Topic: r.topic, Partition: s.partition, Position: position(e.id, s.partition, s.of), StoredAt: storedAt(e.id)}
	rec.Message, rec.DecodeErr = r.b.unmarshal(e.fields)
	if rec.DecodeErr != nil {
		rec.Message = message.NewMessage(e.id, rawFields(e.fields))
	}
	rec.Key = durable.Key(rec.Message)
	return rec
}

// await blocks until a partition may have more.
func (r *replay) await(ctx context.Context) error {
	keys, ids := make([]string, len(r.parts)), make([]string, len(r.parts))
	for i, s := range r.parts {
		keys[i], ids[i] = s.key, s.after
	}
	err := r.client.XRead(ctx, &redis.XReadArgs{Streams: append(keys, ids...), Count: 1, Block: rediskit.MaxBlock}).Err()
	if errors.Is(err, redis.Nil) {
		return nil
	}
	return err
}
