package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// call is one Append: its records and what became of them. The writer's lock guards slots, left and gone from the
// moment the call is queued; records are not changed any more then.
type call struct {
	records []sarama.Record
	slots   []slot
	at      time.Time   // of the records
	times   []time.Time // of each record, where a custom marshaler set them; nil: at
	pieces  []piece
	left    int           // records that are not settled
	gone    bool          // the caller waits no more
	of      string        // the incarnation of the topic, "" where it is not known
	done    chan struct{} // closed when all are settled
}

// slot is what became of a record.
type slot struct {
	phase     phase
	partition int32
	size      int32 // upper bound of its bytes on the wire
	offset    int64 // -1: the broker did not tell it
	status    durable.Status
	err       error
}

type phase uint8

const (
	queued phase = iota // the broker has not seen it
	sent                // it may be stored
	final               // offset, status and err do not change any more
)

// piece is the records of a call that belong to one partition and were not taken yet, as indexes in their order.
type piece struct {
	call      *call
	partition int32
	index     []int32
}

// single is the memory of a call of one record.
type single struct {
	call   call
	record [1]sarama.Record
	slot   [1]slot
	piece  [1]piece
	index  [1]int32
}

func newCall(n int) *call {
	var c *call
	if n == 1 {
		s := new(single)
		c = &s.call
		c.records, c.slots = s.record[:], s.slot[:]
		s.piece[0] = piece{call: c, index: s.index[:]}
		c.pieces = s.piece[:]
	} else {
		c = &call{records: make([]sarama.Record, n), slots: make([]slot, n)}
	}
	c.at, c.left, c.done = time.Now().Truncate(time.Millisecond), n, make(chan struct{})
	return c
}

// timeOf is the timestamp of record i.
func (c *call) timeOf(i int32) time.Time {
	if c.times == nil || c.times[i].IsZero() {
		return c.at
	}
	return c.times[i].Truncate(time.Millisecond)
}

// place sorts the records by partition, of which there are n, into pieces that keep their order. Slots know their
// partitions.
func (c *call) place(n int) {
	if len(c.slots) == 1 {
		c.pieces[0].partition = c.slots[0].partition
		return
	}
	counts := make([]int32, n+1)
	for i := range c.slots {
		counts[c.slots[i].partition+1]++
	}
	used := 0
	for p := range n {
		if counts[p+1] > 0 {
			used++
		}
		counts[p+1] += counts[p]
	}
	index := make([]int32, len(c.slots))
	for i := range c.slots {
		at := &counts[c.slots[i].partition]
		index[*at] = int32(i)
		*at++
	}
	c.pieces = make([]piece, 0, used)
	start := int32(0)
	for p := range n {
		if end := counts[p]; end > start {
			c.pieces = append(c.pieces, piece{call: c, partition: int32(p), index: index[start:end:end]})
			start = end
		}
	}
}

// result reads slots of c, which nobody writes to any more; early is why the call ended before all were settled.
func (c *call) result(slots []slot, topic string, msgs []*message.Message, at []durable.Position, early error) ([]durable.Position, error) {
	if s := &slots[0]; len(msgs) == 1 && s.phase == final && s.err == nil {
		if s.offset >= 0 {
			at[0] = position(s.partition, s.offset, c.of)
		}
		return at, nil
	}
	buf := make([]byte, 0, positionBytes*len(msgs))
	ends := make([]int, len(msgs))
	good := 0
	for i := range slots {
		s := &slots[i]
		if s.phase == final && s.err == nil {
			if s.offset >= 0 {
				buf = appendPosition(buf, s.partition, s.offset, c.of)
			}
			good++
		}
		ends[i] = len(buf)
	}
	all, start := string(buf), 0
	for i, end := range ends {
		at[i] = durable.Position(all[start:end])
		start = end
	}
	if good == len(msgs) {
		return at, nil
	}
	out := make([]durable.Outcome, 0, len(msgs))
	lost := map[string]bool{} // keys of which a message is missing
	for i := range slots {
		o := slots[i].outcome(early)
		if key := durable.Key(msgs[i]); key != "" {
			o.AfterGap = o.Status == durable.Stored && lost[key]
			lost[key] = lost[key] || o.Status != durable.Stored
		}
		out = append(out, o)
	}
	return at, failed(&durable.BatchError{Topic: topic, Outcomes: out})
}

func (s *slot) outcome(early error) durable.Outcome {
	switch {
	case s.phase == queued && s.err != nil && errors.Is(early, errAppendTimeout):
		return durable.Outcome{Status: durable.NotSent, Err: fmt.Errorf("not let in within the append timeout: %w", translate(s.err))}
	case s.phase == queued:
		return durable.Outcome{Status: durable.NotSent, Err: early}
	case s.phase == sent:
		return durable.Outcome{Status: durable.Unknown, Err: early}
	case s.err == nil:
		return durable.Outcome{}
	default:
		return durable.Outcome{Status: s.status, Err: s.err}
	}
}
