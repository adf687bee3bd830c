package redisstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

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
		var run *replay
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
			run.waits.end()
		}()
		run = &replay{b: b, topic: topic, client: client, follow: r.Follow, yield: yield}
		for _, s := range parts {
			copied := *s
			run.parts = append(run.parts, &copied)
		}
		if err := run.run(ctx); err != nil {
			yield(durable.Record{}, fmt.Errorf("redisstream: replay %q: %w", topic, err))
		}
	}
}

// replay is one iteration.
type replay struct {
	b      *Backend
	topic  string
	client rediskit.Client
	waits  waits
	follow bool
	parts  []*stretch
	yield  func(durable.Record, error) bool
	size   int // of an entry of the last page, about; 0: none was read
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
		return unavailable(ctx, err)
	}
}

// page yields up to a page of s and tells whether s is over.
func (r *replay) page(ctx context.Context, s *stretch) (n int, over bool, err error) {
	if compareIDs(s.after, s.end) >= 0 {
		return 0, true, nil
	}
	from, to, count := "("+s.after, "+", few(replayPage, r.size)
	if s.lagging {
		from = s.after
		count++
	}
	if !r.follow {
		to = s.end
	}
	reply, err := r.client.Do(ctx, "xrange", s.key, from, to, "count", count).Result()
	if err != nil {
		return 0, false, err
	}
	es, err := parseEntries(reply, 1)
	if err != nil {
		return 0, false, err
	}
	full := len(es) >= count
	if len(es) > 0 {
		r.size = sizeOf(es)
	}
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
	rec.Message, rec.DecodeErr = r.b.decode(e)
	rec.Key = durable.Key(rec.Message)
	return rec
}

// await blocks until a partition may have more.
func (r *replay) await(ctx context.Context) error {
	if r.b.cfg.Clustered() {
		return r.awaitEach(ctx)
	}
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
