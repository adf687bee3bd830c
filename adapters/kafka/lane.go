package kafka

import (
	"errors"
	"math"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

const (
	batchOverhead  = 61 // of a record batch on the wire
	recordOverhead = 36 // of a record, at most
	headerOverhead = 10 // of a header of a record, at most
)

// topic is what the writer knows of a topic. The writer's lock guards all of it.
type topic struct {
	name    string
	of      string  // its incarnation, "" where that is not known
	lanes   []*lane // by partition
	n       int     // partitions; 0 where the topic has to be looked up
	asked   time.Time
	lost    []*lane // whose leader has to be found
	routing bool    // a goroutine looks for leaders
	stale   bool    // what the client knows of the topic is not to be trusted
	sticky  sticky
}

// lane is a partition as the writer sees it: at most one batch is under way, the rest waits in order. So a batch can
// be repeated with the sequence it had, and nothing overtakes it. The writer's lock guards all of it.
type lane struct {
	topic     *topic
	partition int32
	state     laneState
	sender    *sender // of the leader; nil: unknown
	attempts  int     // in vain, in a row
	locked    error   // the last attempt failed because the login was refused; nil: it did not

	queue []*piece
	head  int
	most  int // records of a batch; 0: no bound of their number
	batch *batch

	// What the broker remembers of the partition to tell repetitions from new batches. Every batch that does not end
	// as stored is followed by a new epoch: should it arrive late after all, the broker refuses it, and its sequence
	// is never taken for that of another batch.
	producer int64 // -1: a new id is needed
	epoch    int16
	sequence int32

	next int64 // offset after the last batch that was stored
}

type laneState uint8

const (
	idle    laneState = iota
	waiting           // in the sender's list
	sending           // its batch is with the broker
	lost              // in the topic's list
)

// batch is what is sent to a partition at once. Its records are its sender's while it is under way.
type batch struct {
	lane       *lane
	parts      []piece
	n          int
	size       int
	uncertain  bool // an attempt may have stored it
	renumbered int  // times it was given a new sequence
	records    *sarama.RecordBatch
}

// missed notes an attempt in vain.
func (l *lane) missed(err error) {
	l.attempts++
	l.locked = nil
	if errors.Is(err, sarama.ErrSASLAuthenticationFailed) {
		l.locked = err
	}
}

func (l *lane) empty() bool { return l.head == len(l.queue) }

func (l *lane) push(p *piece) {
	if l.empty() {
		l.queue, l.head = l.queue[:0], 0
	}
	l.queue = append(l.queue, p)
}

// remove takes what is left of c from the queue.
func (l *lane) remove(c *call) {
	kept := l.queue[:l.head]
	for _, p := range l.queue[l.head:] {
		if p.call != c {
			kept = append(kept, p)
		}
	}
	clear(l.queue[len(kept):])
	l.queue = kept
}

// fill makes the next batch, of at most size bytes but at least one record. It is nil where nothing waits.
func (l *lane) fill(size int) *batch {
	if l.empty() {
		return nil
	}
	b := &batch{lane: l, size: batchOverhead}
	for !l.empty() {
		p := l.queue[l.head]
		n := b.take(p, size, l.most)
		if n < len(p.index) {
			p.index = p.index[n:]
			break
		}
		l.queue[l.head] = nil
		l.head++
	}
	l.batch = b
	return b
}

// take moves records of p into b as far as they fit and returns how many.
func (b *batch) take(p *piece, size, most int) int {
	n := 0
	for _, i := range p.index {
		s := &p.call.slots[i]
		if b.n > 0 && (b.size+int(s.size) > size || most > 0 && b.n >= most) {
			break
		}
		s.phase = sent
		b.size += int(s.size)
		b.n++
		n++
	}
	if n > 0 {
		b.parts = append(b.parts, piece{call: p.call, partition: p.partition, index: p.index[:n:n]})
	}
	return n
}

// abandoned tells whether nobody waits for any record of b.
func (b *batch) abandoned() bool {
	for i := range b.parts {
		if !b.parts[i].call.gone {
			return false
		}
	}
	return true
}

// giveBack puts the records of the lane's batch, which is not stored, back in front of the queue.
func (l *lane) giveBack() {
	var queue []*piece
	for _, part := range l.batch.parts {
		if part.call.gone {
			continue
		}
		for _, i := range part.index {
			part.call.slots[i].phase = queued
		}
		queue = append(queue, &piece{call: part.call, partition: part.partition, index: part.index})
	}
	l.queue, l.head = append(queue, l.queue[l.head:]...), 0
	l.batch = nil
}

// bump starts a new epoch of the lane.
func (l *lane) bump() {
	l.sequence = 0
	if l.epoch == math.MaxInt16 {
		l.producer = -1
		return
	}
	l.epoch++
}

// stored ends the lane's batch well; offset is that of its first record, or -1. It returns the calls that are done.
func (l *lane) stored(offset int64, done []*call) []*call {
	b := l.batch
	if offset >= 0 {
		l.next = offset + int64(b.n)
	}
	l.batch, l.attempts, l.locked = nil, 0, nil
	l.sequence = (l.sequence + int32(b.n)) & math.MaxInt32
	if l.most > 0 {
		l.most *= 2
	}
	for _, part := range b.parts {
		for _, i := range part.index {
			s := &part.call.slots[i]
			s.phase, s.partition, s.offset = final, l.partition, offset
			if offset >= 0 {
				offset++
			}
		}
		part.call.storedIn(l.topic.of)
		done = part.call.settle(len(part.index), done)
	}
	return done
}

// storedIn notes the incarnation of the topic that records of c, which are not settled yet, were stored in.
func (c *call) storedIn(of string) {
	switch {
	case c.gone: // somebody reads it
	case c.left == len(c.slots):
		c.of = of
	case c.of != of:
		c.of = ""
	}
}

// fail ends the lane's batch with status and err.
func (l *lane) fail(status durable.Status, err error, done []*call) []*call {
	b := l.batch
	l.batch, l.attempts, l.locked = nil, 0, nil
	l.bump()
	return b.fail(status, err, done)
}

func (b *batch) fail(status durable.Status, err error, done []*call) []*call {
	if b.uncertain {
		status = durable.Unknown
	}
	for _, part := range b.parts {
		for _, i := range part.index {
			s := &part.call.slots[i]
			s.phase, s.status, s.err = final, status, err
		}
		done = part.call.settle(len(part.index), done)
	}
	return done
}

// settle counts n records as settled; a call that is complete joins done, to be signalled without the lock.
func (c *call) settle(n int, done []*call) []*call {
	c.left -= n
	if c.left == 0 && !c.gone {
		return append(done, c)
	}
	return done
}

// wire is the batch as it is sent. It needs no lock: the lane's ids do not change while it is sending.
func (b *batch) wire(conf *sarama.Config) *sarama.RecordBatch {
	if b.records == nil {
		b.records = &sarama.RecordBatch{
			Version: 2, Codec: conf.Producer.Compression, CompressionLevel: conf.Producer.CompressionLevel,
		}
		b.fillRecords(b.records)
	}
	l := b.lane
	b.records.ProducerID, b.records.ProducerEpoch, b.records.FirstSequence = l.producer, l.epoch, l.sequence
	return b.records
}

func (b *batch) fillRecords(out *sarama.RecordBatch) {
	out.Records = make([]*sarama.Record, 0, b.n)
	for _, part := range b.parts {
		for _, i := range part.index {
			at := part.call.timeOf(i)
			if len(out.Records) == 0 {
				out.FirstTimestamp, out.MaxTimestamp = at, at
			}
			if at.After(out.MaxTimestamp) {
				out.MaxTimestamp = at
			}
			r := &part.call.records[i]
			r.OffsetDelta, r.TimestampDelta = int64(len(out.Records)), at.Sub(out.FirstTimestamp)
			out.Records = append(out.Records, r)
		}
	}
	out.LastOffsetDelta = int32(b.n - 1)
}
