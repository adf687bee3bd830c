package kafka

import (
	"bytes"
	"fmt"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// arena holds the bytes and headers of the records of one call, so that they survive the call and cost two
// allocations.
type arena struct {
	bytes   []byte
	headers []sarama.RecordHeader
}

// newArena makes room for msgs and tells the size of the largest one and its index.
func newArena(msgs []*message.Message) (a *arena, largest, at int) {
	n, h := 0, 0
	for i, m := range msgs {
		size := durable.Size(m)
		if size > largest {
			largest, at = size, i
		}
		n += size + len(durable.MetaUUID) + len(durable.Key(m))
		h += len(m.Metadata) + 1
	}
	return &arena{bytes: make([]byte, 0, n), headers: make([]sarama.RecordHeader, 0, h)}, largest, at
}

func (a *arena) text(s string) []byte {
	start := len(a.bytes)
	a.bytes = append(a.bytes, s...)
	return a.bytes[start:len(a.bytes):len(a.bytes)]
}

func (a *arena) copied(b []byte) []byte {
	start := len(a.bytes)
	a.bytes = append(a.bytes, b...)
	return a.bytes[start:len(a.bytes):len(a.bytes)]
}

// record fills out with msg in the format of watermill-kafka's DefaultMarshaler, keyed by durable.Key.
func (a *arena) record(topic string, msg *message.Message, out *sarama.ProducerMessage) {
	start := len(a.headers)
	a.headers = append(a.headers, sarama.RecordHeader{Key: a.text(durable.MetaUUID), Value: a.text(msg.UUID)})
	for k, v := range msg.Metadata {
		a.headers = append(a.headers, sarama.RecordHeader{Key: a.text(k), Value: a.text(v)})
	}
	out.Topic = topic
	out.Headers = a.headers[start:len(a.headers):len(a.headers)]
	out.Value = sarama.ByteEncoder(a.copied(msg.Payload))
	if key := durable.Key(msg); key != "" {
		out.Key = sarama.ByteEncoder(a.text(key))
	}
}

// records makes the records of a call. On failure it names the message that cannot be a record.
func (b *Backend) records(topic string, msgs []*message.Message) ([]sarama.ProducerMessage, int, error) {
	a, largest, at := newArena(msgs)
	if most := b.cfg.MaxMessageBytes - sizeHeadroom; largest > most {
		return nil, at, fmt.Errorf("message of %d bytes exceeds %d, raise max_message_bytes or publish a reference: %w", largest, most, durable.ErrTooLarge)
	}
	out := make([]sarama.ProducerMessage, len(msgs))
	if b.cfg.Marshaler != nil {
		return b.customRecords(topic, msgs, out)
	}
	for i, m := range msgs {
		a.record(topic, m, &out[i])
		if err := b.checkSize(&out[i]); err != nil {
			return nil, i, err
		}
	}
	return out, 0, nil
}

func (b *Backend) customRecords(topic string, msgs []*message.Message, out []sarama.ProducerMessage) ([]sarama.ProducerMessage, int, error) {
	for i, m := range msgs {
		rec, err := b.cfg.Marshaler.Marshal(topic, m)
		if err != nil {
			return nil, i, fmt.Errorf("marshal: %w", err)
		}
		out[i] = sarama.ProducerMessage{Topic: topic, Key: rec.Key, Headers: rec.Headers, Timestamp: rec.Timestamp}
		if rec.Value != nil {
			value, err := rec.Value.Encode()
			if err != nil {
				return nil, i, fmt.Errorf("marshal: %w", err)
			}
			out[i].Value = sarama.ByteEncoder(bytes.Clone(value))
		}
		if key := durable.Key(m); rec.Key == nil && key != "" {
			out[i].Key = sarama.StringEncoder(key)
		}
		if err := b.checkSize(&out[i]); err != nil {
			return nil, i, err
		}
	}
	return out, 0, nil
}

func (b *Backend) checkSize(rec *sarama.ProducerMessage) error {
	if n := rec.ByteSize(2); n > b.cfg.MaxMessageBytes {
		return fmt.Errorf("record of %d bytes exceeds max_message_bytes %d: %w", n, b.cfg.MaxMessageBytes, durable.ErrTooLarge)
	}
	return nil
}
