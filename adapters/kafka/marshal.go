package kafka

import (
	"bytes"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// arena holds the bytes and headers of the records of one call, so that they survive the call and cost three
// allocations.
type arena struct {
	bytes   []byte
	uuid    []byte // the name of the header
	headers []sarama.RecordHeader
	refs    []*sarama.RecordHeader
}

// newArena makes room for msgs and tells the size of the largest one and its index.
func newArena(msgs []*message.Message) (a arena, largest, at int) {
	n, h := len(durable.MetaUUID), 0
	for i, m := range msgs {
		size := durable.Size(m)
		if size > largest {
			largest, at = size, i
		}
		n += size + len(durable.Key(m))
		h += len(m.Metadata) + 1
	}
	a = arena{bytes: make([]byte, 0, n), headers: make([]sarama.RecordHeader, 0, h), refs: make([]*sarama.RecordHeader, 0, h)}
	a.uuid = a.text(durable.MetaUUID)
	return a, largest, at
}

func (a *arena) text(s string) []byte {
	start := len(a.bytes)
	a.bytes = append(a.bytes, s...)
	return a.bytes[start:len(a.bytes):len(a.bytes)]
}

func (a *arena) header(key, value []byte) {
	a.headers = append(a.headers, sarama.RecordHeader{Key: key, Value: value})
	a.refs = append(a.refs, &a.headers[len(a.headers)-1])
}

// record fills out with msg in the format of watermill-kafka's DefaultMarshaler, keyed by durable.Key.
func (a *arena) record(msg *message.Message, out *sarama.Record) {
	start := len(a.refs)
	a.header(a.uuid, a.text(msg.UUID))
	for k, v := range msg.Metadata {
		a.header(a.text(k), a.text(v))
	}
	out.Headers = a.refs[start:len(a.refs):len(a.refs)]
	at := len(a.bytes)
	a.bytes = append(a.bytes, msg.Payload...)
	out.Value = a.bytes[at:len(a.bytes):len(a.bytes)]
	if key := durable.Key(msg); key != "" {
		out.Key = a.text(key)
	}
}

// call makes the records of an Append. On failure it names the message that cannot be a record.
func (b *Backend) call(topic string, msgs []*message.Message) (*call, int, error) {
	a, largest, at := newArena(msgs)
	if most := b.cfg.MaxMessageBytes - sizeHeadroom; largest > most {
		return nil, at, fmt.Errorf("message of %d bytes exceeds %d, raise max_message_bytes or publish a reference: %w", largest, most, durable.ErrTooLarge)
	}
	c := newCall(len(msgs))
	for i, m := range msgs {
		if b.cfg.Marshaler == nil {
			a.record(m, &c.records[i])
		} else if err := b.custom(topic, m, c, i); err != nil {
			return nil, i, fmt.Errorf("marshal: %w", err)
		}
		size := sizeOf(&c.records[i])
		if size > b.cfg.MaxMessageBytes {
			return nil, i, fmt.Errorf("record of %d bytes exceeds max_message_bytes %d: %w", size, b.cfg.MaxMessageBytes, durable.ErrTooLarge)
		}
		c.slots[i].size = int32(size)
	}
	return c, 0, nil
}

// custom makes record i of c with the configured marshaler.
func (b *Backend) custom(topic string, msg *message.Message, c *call, i int) error {
	rec, err := b.cfg.Marshaler.Marshal(topic, msg)
	if err != nil {
		return err
	}
	out := &c.records[i]
	if out.Key, err = encoded(rec.Key); err != nil {
		return err
	}
	if out.Value, err = encoded(rec.Value); err != nil {
		return err
	}
	if key := durable.Key(msg); out.Key == nil && key != "" {
		out.Key = []byte(key)
	}
	for _, h := range rec.Headers {
		out.Headers = append(out.Headers, &sarama.RecordHeader{Key: bytes.Clone(h.Key), Value: bytes.Clone(h.Value)})
	}
	if !rec.Timestamp.IsZero() && c.times == nil {
		c.times = make([]time.Time, len(c.records))
	}
	if c.times != nil {
		c.times[i] = rec.Timestamp
	}
	return nil
}

// encoded is a copy, because what a marshaler returns may be part of the message.
func encoded(e sarama.Encoder) ([]byte, error) {
	if e == nil {
		return nil, nil
	}
	b, err := e.Encode()
	return bytes.Clone(b), err
}

// sizeOf is an upper bound of the bytes of r on the wire.
func sizeOf(r *sarama.Record) int {
	n := recordOverhead + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += headerOverhead + len(h.Key) + len(h.Value)
	}
	return n
}
