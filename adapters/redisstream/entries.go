package redisstream

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// entry is a stored entry as the server gives it.
type entry struct {
	id      string
	fields  []any // names and values in turn, all texts
	attempt int
	msg     *message.Message // where it is decoded already
}

// parseEntries reads the reply of a command that gives entries. Entries that were deleted are left out.
func parseEntries(reply any, attempt int) ([]entry, error) {
	rows, ok := reply.([]any)
	if !ok && reply != nil {
		return nil, fmt.Errorf("redisstream: a reply of type %T where entries were expected", reply)
	}
	out := make([]entry, 0, len(rows))
	for _, r := range rows {
		pair, ok := r.([]any)
		if !ok || len(pair) != 2 {
			continue
		}
		id, _ := pair[0].(string)
		fields, _ := pair[1].([]any)
		if id != "" && len(fields) > 0 {
			out = append(out, entry{id: id, fields: fields, attempt: attempt})
		}
	}
	return out, nil
}

const (
	fewEntries = 64      // of a first read
	readBytes  = 4 << 20 // of what a read takes, about
)

// few is at most most, and as many entries of size bytes as one reply should hold, so that large ones arrive in time.
// Size is 0 where it is unknown.
func few(most, size int) int {
	if size == 0 {
		return min(most, fewEntries)
	}
	return min(most, max(readBytes/size, 1))
}

// sizeOf is the size of an entry of es, about.
func sizeOf(es []entry) int {
	sum := len(es)
	for _, e := range es {
		for _, f := range e.fields {
			text, _ := f.(string)
			sum += len(text)
		}
	}
	return sum / max(len(es), 1)
}

// delivery is e as a delivery at s.
func (b *Backend) delivery(s place, claim *durable.Claim, e entry) durable.Delivery {
	d := durable.Delivery{
		Topic: s.topic, Position: position(e.id, s.partition, s.of), Claim: claim, Attempt: e.attempt, StoredAt: storedAt(e.id),
	}
	d.Message, d.DecodeErr = b.decode(e)
	d.Key = durable.Key(d.Message)
	return d
}

// deliveries is es as deliveries at s.
func (b *Backend) deliveries(s place, claim *durable.Claim, es []entry) []durable.Delivery {
	ds := make([]durable.Delivery, len(es))
	for i, e := range es {
		ds[i] = b.delivery(s, claim, e)
	}
	return ds
}

// unmarshal reads a message off the fields of e.
func (b *Backend) unmarshal(e entry) (*message.Message, error) {
	if b.cfg.Marshaller != nil {
		return b.unmarshalCustom(e)
	}
	fields := e.fields
	var uuid, meta, payload string
	var found bool
	for i := 0; i+1 < len(fields); i += 2 {
		value, _ := fields[i+1].(string)
		switch fields[i] {
		case fieldUUID:
			uuid, found = value, true
		case fieldMetadata:
			meta = value
		case fieldPayload:
			payload = value
		}
	}
	if !found {
		return nil, errors.New("redisstream: the entry has no field " + fieldUUID)
	}
	return decoded(uuid, meta, payload)
}

// decoded is a message of the default layout.
func decoded(uuid, meta, payload string) (*message.Message, error) {
	m, err := decodeMetadata(meta)
	if err != nil {
		return nil, err
	}
	msg := message.NewMessage(uuid, message.Payload(payload))
	msg.Metadata = m
	return msg, nil
}

func (b *Backend) unmarshalCustom(e entry) (*message.Message, error) {
	values := make(map[string]interface{}, len(e.fields)/2)
	for i := 0; i+1 < len(e.fields); i += 2 {
		name, _ := e.fields[i].(string)
		values[name] = e.fields[i+1]
	}
	var msg *message.Message
	var err error
	if f, ok := b.cfg.Marshaller.(Fields); ok {
		msg, err = f.unmarshal(values, e.id, storedAt(e.id))
	} else {
		msg, err = b.cfg.Marshaller.Unmarshal(values)
	}
	if err != nil {
		return nil, fmt.Errorf("redisstream: unmarshal: %w", err)
	}
	if msg == nil {
		return nil, errors.New("redisstream: unmarshal: the marshaller gave no message")
	}
	if msg.Metadata == nil {
		msg.Metadata = message.Metadata{}
	}
	return msg, nil
}
