package durable

import (
	"maps"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// What every event has as metadata: how many entries, and the bytes of their keys.
const (
	attributes = 7
	sizeOfKeys = len(MetaSpecVersion) + len(MetaID) + len(MetaType) + len(MetaSource) + len(MetaSubject) +
		len(MetaTime) + len(MetaPartitionKey)
)

// Batch makes events into the messages of one Append, checked and measured once, for [Publisher.AppendBatch]. What
// Add has accepted cannot be changed any more, so that nothing has to be checked again. It is not safe for concurrent
// use and serves one AppendBatch.
type Batch struct {
	msgs    []*message.Message
	slab    []message.Message // not used yet
	size    int               // of all
	largest int               // size of the largest
	at      int               // its index

	ids        idSource
	sourceType string // the last one,
	source     string // and its attribute
	time       time.Time
	timeText   string
}

// NewBatch returns an empty batch with room for n events.
func NewBatch(n int) *Batch {
	return &Batch{msgs: make([]*message.Message, 0, n), slab: make([]message.Message, n)}
}

// Add appends e as Event.Message makes it, placed by key (SourceID where key is ""), and fills e's ID and Time. Data is
// shared with the message, Metadata is copied. The error is an *InvalidError; the batch is then as it was before.
func (b *Batch) Add(e *Event, key string) error {
	if err := e.check(); err != nil {
		return err
	}
	if e.ID == "" {
		e.ID = b.ids.next(cap(b.msgs) - len(b.msgs))
	}
	e.fillTime()
	if b.source == "" || e.SourceType != b.sourceType {
		b.sourceType, b.source = e.SourceType, "/"+e.SourceType
	}
	if b.timeText == "" || !e.Time.Equal(b.time) {
		b.time, b.timeText = e.Time, e.Time.Format(time.RFC3339Nano)
	}
	if len(b.slab) == 0 {
		b.slab = make([]message.Message, max(1, len(b.msgs)))
	}
	msg := &b.slab[0]
	b.slab = b.slab[1:]
	size := e.write(msg, key, b.source, b.timeText)
	if size > b.largest {
		b.largest, b.at = size, len(b.msgs)
	}
	b.size += size
	b.msgs = append(b.msgs, msg)
	return nil
}

// Structured gives the messages of b the structured encoding; see [Structured]. It is to be called after the last Add.
func (b *Batch) Structured() error {
	b.size, b.largest, b.at = 0, 0, 0
	for i, msg := range b.msgs {
		out, err := Structured(msg)
		if err != nil {
			return err
		}
		size := Size(out)
		if size > b.largest {
			b.largest, b.at = size, i
		}
		b.size += size
		b.msgs[i] = out
	}
	return nil
}

// Len is the number of events.
func (b *Batch) Len() int { return len(b.msgs) }

// Bytes is the sum of the messages' Size.
func (b *Batch) Bytes() int { return b.size }

// Largest is the index of the largest event and the Size of its message.
func (b *Batch) Largest() (index, bytes int) { return b.at, b.largest }

// write makes msg the message of e, which is checked and filled, and returns its Size.
func (e *Event) write(msg *message.Message, key, source, at string) int {
	if key == "" {
		key = e.SourceID
	}
	entries := attributes + len(e.Metadata)
	if e.ContentType != "" {
		entries++
	}
	meta := make(message.Metadata, entries)
	maps.Copy(meta, e.Metadata)
	meta[MetaSpecVersion] = specVersion
	meta[MetaID] = e.ID
	meta[MetaType] = e.Type
	meta[MetaSource] = source
	meta[MetaSubject] = e.SourceID
	meta[MetaTime] = at
	meta[MetaPartitionKey] = key
	size := sizeOfKeys + len(specVersion) + 2*len(e.ID) + len(e.Type) + len(source) + len(e.SourceID) + len(at) +
		len(key) + len(e.Data)
	if e.ContentType != "" {
		meta[MetaContentType] = e.ContentType
		size += len(MetaContentType) + len(e.ContentType)
	}
	for k, v := range e.Metadata {
		size += len(k) + len(v)
	}
	msg.UUID, msg.Payload, msg.Metadata = e.ID, e.Data, meta
	return size
}
