package kafka

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

const (
	followWait    = 250 * time.Millisecond // how long a broker may hold a fetch at the head
	fetchBytes    = 1 << 20                // of one partition in one response
	replayRetries = 20                     // in a row without a successful fetch
	replayPause   = 200 * time.Millisecond
)

// part is one partition of a replay.
type part struct {
	partition int32
	next      int64 // offset to fetch
	end       int64 // offset at which it ends; -1: never
	bytes     int32 // of a response
}

func (p *part) done() bool { return p.end >= 0 && p.next >= p.end }

// replay is one call of Replay, with a client of its own.
type replay struct {
	b      *Backend
	topic  string
	until  time.Time
	client sarama.Client
	parts  []*part
	out    chan chunk
	wg     sync.WaitGroup // readers
}

// chunk is what a reader delivers. With end it is its last: left are its unfinished partitions, err the reason, and
// fetched tells that a fetch before it succeeded.
type chunk struct {
	recs    []durable.Record
	end     bool
	left    []*part
	err     error
	fetched bool
}

// Replay implements durable.Backend. It yields committed records only and ends at the last stable offset.
func (b *Backend) Replay(ctx context.Context, topic string, r durable.Range) iter.Seq2[durable.Record, error] {
	return func(yield func(durable.Record, error) bool) {
		err := b.replay(ctx, topic, r, yield)
		if err != nil {
			yield(durable.Record{}, fmt.Errorf("kafka: replay of %q: %w", topic, err))
		}
	}
}

func (b *Backend) replay(ctx context.Context, topic string, r durable.Range, yield func(durable.Record, error) bool) error {
	if err := b.enter(&b.wg); err != nil { // not in calls: the caller's loop body may run for ever, or call Close
		return err
	}
	defer b.wg.Done()
	if err := durable.CheckTopic(topic); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(b.reads, func() { cancel(durable.ErrClosed) })()
	s := &replay{b: b, topic: topic, until: r.ToTime, out: make(chan chunk)}
	ready := make(chan error, 1) // sarama takes no context
	b.wg.Go(func() { ready <- s.open(r) })
	select {
	case err := <-ready:
		if err != nil {
			return err
		}
		defer s.close()
	case <-ctx.Done():
		b.wg.Go(func() {
			if <-ready == nil {
				_ = s.client.Close()
			}
		})
		return context.Cause(ctx)
	}
	return s.run(ctx, r.Follow, yield)
}

// close ends the client once the readers have noticed the end of their context.
func (s *replay) close() {
	s.b.wg.Go(func() {
		s.wg.Wait()
		_ = s.client.Close()
	})
}

// open resolves where each partition begins and ends.
func (s *replay) open(r durable.Range) (err error) {
	if s.client, err = sarama.NewClient(s.b.cfg.Brokers, s.b.cfg.reader()); err != nil {
		return translate(err)
	}
	if err := s.plan(r); err != nil {
		return errors.Join(translateStart(err), s.client.Close())
	}
	return nil
}

func (s *replay) plan(r durable.Range) error {
	if err := s.client.RefreshMetadata(s.topic); err != nil {
		return err
	}
	all, err := s.client.Partitions(s.topic)
	if err != nil {
		return err
	}
	heads, err := s.heads(all)
	if err != nil {
		return err
	}
	for _, p := range r.Partitions {
		if !slices.Contains(all, int32(p)) {
			return durable.Invalid("partition", fmt.Sprint(p), fmt.Sprintf("the topic has partitions 0 to %d", len(all)-1))
		}
	}
	for _, p := range all {
		if r.Partitions != nil && !slices.Contains(r.Partitions, int(p)) {
			continue
		}
		x := &part{partition: p, end: heads[p], bytes: fetchBytes}
		if x.next, err = resolve(s.client, s.topic, p, r.From); err != nil {
			return err
		}
		if r.Follow {
			x.end = -1
		}
		if err := s.bound(x, r); err != nil {
			return err
		}
		s.parts = append(s.parts, x)
	}
	return nil
}

// heads are the last stable offsets: what a reader of committed records can reach now.
func (s *replay) heads(partitions []int32) (map[int32]int64, error) {
	admin, err := sarama.NewClusterAdminFromClient(s.client)
	if err != nil {
		return nil, err
	}
	ask := map[int32]int64{}
	for _, p := range partitions {
		ask[p] = sarama.OffsetNewest
	}
	heads := map[int32]int64{}
	err = settled(s.client, s.topic, func() error {
		got, err := admin.ListOffsets(map[string]map[int32]int64{s.topic: ask},
			&sarama.ListOffsetsOptions{IsolationLevel: sarama.ReadCommitted})
		if err != nil {
			return err
		}
		return stableHeads(partitions, got[s.topic], heads)
	})
	return heads, err
}

func stableHeads(partitions []int32, got map[int32]*sarama.OffsetResult, heads map[int32]int64) error {
	for _, p := range partitions {
		res := got[p]
		if res == nil {
			return fmt.Errorf("no head of partition %d: %w", p, sarama.ErrIncompleteResponse)
		}
		if res.Err != nil && !errors.Is(res.Err, sarama.ErrNoError) {
			return res.Err
		}
		heads[p] = res.Offset
	}
	return nil
}

// bound moves the end of x to where To and ToTime say.
func (s *replay) bound(x *part, r durable.Range) error {
	limit := func(end int64) {
		if x.end < 0 || end < x.end {
			x.end = end
		}
	}
	if last, ok, err := cursorOffset(r.To, x.partition); err != nil {
		return err
	} else if ok {
		limit(last + 1)
	}
	if r.ToTime.IsZero() {
		return nil
	}
	at, err := offsetAt(s.client, s.topic, x.partition, r.ToTime.UnixMilli())
	if err == nil && at >= 0 {
		limit(at)
	}
	return err
}

// run yields what the readers deliver, and starts readers again for partitions whose reader failed.
func (s *replay) run(ctx context.Context, follow bool, yield func(durable.Record, error) bool) error {
	readers, retries := 0, 0
	todo := s.parts
	for {
		started, left, err := s.start(ctx, follow, todo)
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
			case c = <-s.out:
			case <-again:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		for _, rec := range c.recs {
			if !yield(rec, nil) {
				return nil
			}
			if s.b.reads.Err() != nil {
				return durable.ErrClosed
			}
			retries = 0
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
	_ = within(ctx, func() error { return s.client.RefreshMetadata(s.topic) })
	return nil
}

// start starts one reader per leader; left are the partitions without one.
func (s *replay) start(ctx context.Context, follow bool, todo []*part) (started int, left []*part, err error) {
	by := map[*sarama.Broker][]*part{}
	for _, p := range todo {
		if p.done() {
			continue
		}
		leader, e := s.client.Leader(s.topic, p.partition)
		if e != nil {
			left, err = append(left, p), e
			continue
		}
		by[leader] = append(by[leader], p)
	}
	for leader, parts := range by {
		s.wg.Go(func() { s.read(ctx, follow, leader, parts) })
	}
	return len(by), left, err
}
