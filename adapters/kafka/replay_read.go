package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

const (
	fetchVersion   = 10       // from Kafka 2.1: every compression
	responseBytes  = 16 << 20 // of one response
	largestPartial = 1 << 30  // a response of one partition grows up to this for a record that does not fit
)

// read fetches from one leader until its partitions are done, an error or the end of ctx.
func (s *replay) read(ctx context.Context, follow bool, leader *sarama.Broker, parts []*part) {
	fetched := false
	for ctx.Err() == nil {
		req := &sarama.FetchRequest{
			Version: fetchVersion, MinBytes: 1, MaxBytes: responseBytes,
			Isolation: sarama.ReadCommitted, SessionEpoch: -1,
		}
		if follow {
			req.MaxWaitTime = int32(followWait / time.Millisecond)
		}
		open := parts[:0:0]
		for _, p := range parts {
			if !p.done() {
				open = append(open, p)
				req.AddBlock(s.topic, p.partition, p.next, p.bytes, -1)
			}
		}
		if parts = open; len(parts) == 0 {
			s.deliver(ctx, chunk{end: true})
			return
		}
		resp, err := leader.Fetch(req)
		if err != nil {
			_ = leader.Close() // sarama opens it again with the next metadata
		}
		var recs []durable.Record
		if err == nil {
			recs, err = s.digest(resp, parts)
		}
		if err != nil {
			s.deliver(ctx, chunk{recs: recs, end: true, left: parts, err: err, fetched: fetched})
			return
		}
		fetched = true
		if len(recs) > 0 && !s.deliver(ctx, chunk{recs: recs}) {
			return
		}
	}
}

func (s *replay) deliver(ctx context.Context, c chunk) bool {
	select {
	case s.out <- c:
		return true
	case <-ctx.Done():
		return false
	}
}

// digest decodes a response and moves the parts on.
func (s *replay) digest(resp *sarama.FetchResponse, parts []*part) ([]durable.Record, error) {
	if code := sarama.KError(resp.ErrorCode); !errors.Is(code, sarama.ErrNoError) {
		return nil, code
	}
	var recs []durable.Record
	var errs error
	for _, p := range parts {
		block := resp.GetBlock(s.topic, p.partition)
		switch {
		case block == nil:
			continue // the response was full
		case errors.Is(block.Err, sarama.ErrOffsetOutOfRange):
			return recs, fmt.Errorf("offset %d of partition %d was trimmed: %w", p.next, p.partition, durable.ErrPositionExpired)
		case !errors.Is(block.Err, sarama.ErrNoError):
			errs = errors.Join(errs, block.Err)
			continue
		}
		got, err := s.records(p, block)
		recs, errs = append(recs, got...), errors.Join(errs, err)
	}
	return recs, errs
}

// records decodes the committed records of one partition, as Kafka's own consumer does: a batch of a producer whose
// transaction is listed as aborted is skipped until the transaction's marker.
func (s *replay) records(p *part, block *sarama.FetchResponseBlock) ([]durable.Record, error) {
	var out []durable.Record
	aborted, ahead := map[int64]bool{}, slices.Clone(block.AbortedTransactions)
	slices.SortFunc(ahead, func(x, y *sarama.AbortedTransaction) int { // nothing promises an order
		return cmp.Compare(x.FirstOffset, y.FirstOffset)
	})
	start := p.next
	for _, set := range block.RecordsSet {
		batch := set.RecordBatch
		if batch == nil {
			return out, errors.New("the topic holds records in the format before Kafka 0.11, which cannot be replayed")
		}
		if batch.PartialTrailingRecord {
			break
		}
		for len(ahead) > 0 && ahead[0].FirstOffset <= batch.LastOffset() {
			aborted[ahead[0].ProducerID] = true
			ahead = ahead[1:]
		}
		p.next = max(p.next, batch.LastOffset()+1)
		if batch.Control {
			delete(aborted, batch.ProducerID)
			continue
		}
		if batch.IsTransactional && aborted[batch.ProducerID] {
			continue
		}
		out = s.batch(p, batch, start, out)
	}
	if p.next == start && block.Partial && p.bytes < largestPartial {
		p.bytes *= 2
	}
	return out, nil
}

func (s *replay) batch(p *part, batch *sarama.RecordBatch, start int64, out []durable.Record) []durable.Record {
	for _, r := range batch.Records {
		offset := batch.FirstOffset + r.OffsetDelta
		if offset < start || p.end >= 0 && offset >= p.end {
			continue
		}
		at := batch.FirstTimestamp.Add(r.TimestampDelta)
		if batch.LogAppendTime {
			at = batch.MaxTimestamp
		}
		if !s.until.IsZero() && !at.Before(s.until) {
			p.end = offset
			return out
		}
		d := s.b.decode(&sarama.ConsumerMessage{
			Headers: r.Headers, Timestamp: at, Key: r.Key, Value: r.Value,
			Topic: s.topic, Partition: p.partition, Offset: offset,
		})
		out = append(out, durable.Record{
			Message: d.msg, Topic: s.topic, Partition: int(p.partition),
			Position: position(p.partition, offset), Key: d.key, StoredAt: at, DecodeErr: d.err,
		})
	}
	return out
}
