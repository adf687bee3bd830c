package kafka

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

const (
	fetchVersion   = 10                     // from Kafka 2.1: every compression
	followWait     = 250 * time.Millisecond // how long a broker may hold a fetch at the head
	fetchBytes     = 1 << 20                // of one partition in one response
	responseBytes  = 16 << 20               // of one response
	largestPartial = 1 << 30                // a response of one partition grows up to this for a record that does not fit
)

// part is where the reading of one partition is.
type part struct {
	topic     string
	partition int32
	next      int64     // offset to fetch
	end       int64     // offset at which it ends; -1: never
	bytes     int32     // of a response
	until     time.Time // it ends before the first record stored then or later; zero: no such end
}

func (p *part) done() bool { return p.end >= 0 && p.next >= p.end }

// rec is a record with its place.
type rec struct {
	*sarama.Record
	offset int64
	at     time.Time // of storing
}

// newFetch is a request for committed records that the broker may hold for wait.
func newFetch(wait time.Duration) *sarama.FetchRequest {
	return &sarama.FetchRequest{
		Version: fetchVersion, MinBytes: 1, MaxBytes: responseBytes, MaxWaitTime: int32(wait.Milliseconds()),
		Isolation: sarama.ReadCommitted, SessionEpoch: -1,
	}
}

// scan returns the committed records of a response and moves p on. What belongs to a producer whose transaction is
// listed as aborted is skipped until the transaction's marker.
func (p *part) scan(block *sarama.FetchResponseBlock) ([]rec, error) {
	var out []rec
	aborted, ahead := map[int64]bool{}, slices.Clone(block.AbortedTransactions)
	slices.SortFunc(ahead, func(x, y *sarama.AbortedTransaction) int { // nothing promises an order
		return cmp.Compare(x.FirstOffset, y.FirstOffset)
	})
	start := p.next
	for _, set := range block.RecordsSet {
		batch := set.RecordBatch
		if batch == nil {
			return out, errors.New("the topic holds records in the format before Kafka 0.11, which cannot be read")
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
		out = p.batch(batch, start, out)
	}
	if p.next == start && block.Partial && p.bytes < largestPartial {
		p.bytes *= 2
	}
	return out, nil
}

func (p *part) batch(batch *sarama.RecordBatch, start int64, out []rec) []rec {
	out = slices.Grow(out, len(batch.Records))
	for _, r := range batch.Records {
		offset := batch.FirstOffset + r.OffsetDelta
		if offset < start || p.end >= 0 && offset >= p.end {
			continue
		}
		at := batch.FirstTimestamp.Add(r.TimestampDelta)
		if batch.LogAppendTime {
			at = batch.MaxTimestamp
		}
		if !p.until.IsZero() && !at.Before(p.until) {
			p.end = offset
			return out
		}
		out = append(out, rec{r, offset, at})
	}
	return out
}
