package redisstream

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/vmihailenco/msgpack"

	"github.com/dualstream/dualstream/durable"
)

// The fields of an entry.
const (
	fieldUUID     = durable.MetaUUID
	fieldMetadata = "metadata"
	fieldPayload  = "payload"
)

// Marshaller is the interface of watermill-redisstream's MarshallerUnmarshaller, so that its implementations fit.
type Marshaller interface {
	Marshal(topic string, msg *message.Message) (map[string]interface{}, error)
	Unmarshal(values map[string]interface{}) (*message.Message, error)
}

// appendMetadata appends meta to b as a msgpack map, nothing for an empty one.
func appendMetadata(b []byte, meta message.Metadata) []byte {
	n := len(meta)
	switch {
	case n == 0:
		return b
	case n < 16:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xde), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdf), uint32(n))
	}
	for k, v := range meta {
		b = appendText(appendText(b, k), v)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	n := len(s)
	switch {
	case n < 32:
		b = append(b, 0xa0|byte(n))
	case n < 1<<8:
		b = append(b, 0xd9, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(n))
	}
	return append(b, s...)
}

// decodeMetadata reads what appendMetadata wrote, and whatever else msgpack takes for a map of strings.
func decodeMetadata(b string) (message.Metadata, error) {
	if b == "" {
		return message.Metadata{}, nil
	}
	if meta, ok := plainMetadata(b); ok {
		return meta, nil
	}
	meta := message.Metadata{}
	if err := msgpack.Unmarshal([]byte(b), &meta); err != nil {
		return nil, errors.Join(errors.New("redisstream: metadata of an entry"), err)
	}
	return meta, nil
}

// plainMetadata reads a map of texts; false for any other form. The texts share the memory of b.
func plainMetadata(b string) (message.Metadata, bool) {
	var n int
	switch c := b[0]; {
	case c&0xf0 == 0x80:
		n, b = int(c&0x0f), b[1:]
	case c == 0xde && len(b) >= 3:
		n, b = int(b[1])<<8|int(b[2]), b[3:]
	default:
		return nil, false
	}
	if n > len(b)/2 {
		return nil, false
	}
	meta := make(message.Metadata, n)
	for range n {
		var k, v string
		var ok bool
		if k, b, ok = text(b); !ok {
			return nil, false
		}
		if v, b, ok = text(b); !ok {
			return nil, false
		}
		meta[k] = v
	}
	return meta, true
}

// text cuts one msgpack text off b.
func text(b string) (s, rest string, ok bool) {
	if b == "" {
		return "", "", false
	}
	var n, head int
	switch c := b[0]; {
	case c&0xe0 == 0xa0:
		n, head = int(c&0x1f), 1
	case c == 0xd9 && len(b) >= 2:
		n, head = int(b[1]), 2
	case c == 0xda && len(b) >= 3:
		n, head = int(b[1])<<8|int(b[2]), 3
	default:
		return "", "", false
	}
	if len(b) < head+n {
		return "", "", false
	}
	return b[head : head+n], b[head+n:], true
}

// view is b as text without a copy; b must not change afterwards.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
