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
	replayRetries = 20 // in a row without a successful fetch
	replayPause   = 200 * time.Millisecond
)

// replay is one call of Replay, with a client of its own. Its goroutines end without the caller's loop, whose body may
// run for ever, or call Close.
type replay struct {
	b      *Backend
	topic  string
	follow bool
	all    bool // partitions that are added, too
	lost   bool // some partitions have no leader
	client sarama.Client
	of     string // incarnation of the topic
	until  time.Time
	parts  []*part
	read   chan chunk     // from the readers
	out    chan chunk     // to the caller's loop
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
	if err := durable.CheckTopic(topic); err != nil {
		return err
	}
	if err := b.enter(&b.wg); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(b.reads, func() { cancel(durable.ErrClosed) })()
	s := &replay{b: b, topic: topic, follow: r.Follow, all: r.Partitions == nil, until: r.ToTime, read: make(chan chunk), out: make(chan chunk)}
	go func() {
		defer b.wg.Done()
		deliver(ctx, s.out, chunk{end: true, err: s.work(ctx, r)})
	}()
	for {
		var c chunk
		select {
		case c = <-s.out:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for _, rec := range c.recs {
			if !yield(rec, nil) {
				return nil
			}
			if b.reads.Err() != nil {
				return durable.ErrClosed
			}
		}
		if c.end {
			return c.err
		}
	}
}

// work reads until there is nothing more to read.
func (s *replay) work(ctx context.Context, r durable.Range) (err error) {
	if s.client, err = sarama.NewClient(s.b.cfg.Brokers, s.b.cfg.reader()); err != nil {
		return translate(err)
	}
	defer func() {
		s.wg.Wait()
		_ = s.client.Close()
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		if err := s.plan(r); err != nil {
			return translateStart(err)
		}
		err := s.run(ctx)
		if !errors.Is(err, errRemade) || !r.Follow || len(r.To) > 0 {
			return err
		}
		s.b.cfg.Logger.Warn("kafka: the topic was deleted and made again, the replay goes on at its oldest record",
			"topic", s.topic, "before", s.of)
		r.From = durable.Oldest()
	}
}

// plan resolves where each partition begins and ends.
func (s *replay) plan(r durable.Range) error {
	if err := s.client.RefreshMetadata(s.topic); err != nil {
		return unnamed(err)
	}
	all, err := s.client.Partitions(s.topic)
	if err != nil {
		return err
	}
	if s.of, err = incarnation(s.client, s.topic); err != nil {
		return err
	}
	s.parts = nil
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
		x := &part{topic: s.topic, partition: p, end: heads[p], bytes: fetchBytes, until: r.ToTime}
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
	if last, ok, err := cursorOffset(s.client, s.topic, r.To, x.partition); err != nil {
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
