package redisstream

import (
	"encoding"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
)

const mostKept = 1 << 20 // bytes of a buffer that is used again

// encoder holds the buffers of an append, to be used again.
type encoder struct {
	wire []byte // the commands
	head []byte // what the commands to one stream begin with
	meta []byte // metadata of one message
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// keep gives e back, unless it has grown large. The caller uses it no more.
func (e *encoder) keep() {
	if cap(e.wire) <= mostKept && cap(e.meta) <= mostKept {
		encoders.Put(e)
	}
}

// encode puts one XADD per message into e.wire. Nothing in it shares memory with msgs.
func (b *Backend) encode(e *encoder, to *placement, msgs []*message.Message) error {
	e.wire = e.wire[:0]
	if b.cfg.Marshaller != nil {
		return b.encodeCustom(e, to, msgs)
	}
	wire, head, headOf := e.wire, e.head[:0], ""
	for i, m := range msgs {
		if stream := to.stream(i); i == 0 || stream != headOf {
			headOf = stream
			head = rediskit.AppendWord(b.appendHead(head[:0], stream, 3), fieldUUID)
		}
		wire = append(wire, head...)
		wire = rediskit.AppendWord(wire, m.UUID)
		wire = append(wire, "$8\r\n"+fieldMetadata+"\r\n"...)
		e.meta = appendMetadata(e.meta[:0], m.Metadata)
		wire = rediskit.AppendWord(wire, e.meta)
		wire = append(wire, "$7\r\n"+fieldPayload+"\r\n"...)
		wire = rediskit.AppendWord(wire, []byte(m.Payload))
	}
	e.wire, e.head = wire, head
	return nil
}

// appendHead adds the words of an XADD up to its pairs of field and value.
func (b *Backend) appendHead(wire []byte, stream string, pairs int) []byte {
	words := 3 + 2*pairs
	if b.cfg.OnlyExisting {
		words++
	}
	wire = rediskit.AppendArray(wire, words)
	wire = append(wire, "$4\r\nxadd\r\n"...)
	wire = rediskit.AppendWord(wire, stream)
	if b.cfg.OnlyExisting {
		wire = append(wire, "$10\r\nnomkstream\r\n"...)
	}
	return append(wire, "$1\r\n*\r\n"...)
}

// appendTTL adds the commands that let the streams of an append end, and returns how many.
func (b *Backend) appendTTL(wire []byte, to *placement) ([]byte, int) {
	if b.cfg.TTL == 0 {
		return wire, 0
	}
	streams := to.streams
	if to.n == 1 {
		streams = []string{to.topic}
	}
	ms, n := strconv.FormatInt(b.cfg.TTL.Milliseconds(), 10), 0
	for _, s := range streams {
		if s == "" {
			continue
		}
		n++
		if b.cfg.SlidingTTL {
			wire = rediskit.AppendCommand(wire, "pexpire", s, ms)
		} else {
			wire = rediskit.AppendCommand(wire, "pexpire", s, ms, "nx")
		}
	}
	return wire, n
}

// encodeCustom encodes by the configured marshaller.
func (b *Backend) encodeCustom(e *encoder, to *placement, msgs []*message.Message) error {
	for i, m := range msgs {
		values, err := b.cfg.Marshaller.Marshal(to.topic, m.Copy())
		if err != nil {
			err = fmt.Errorf("redisstream: marshal: %w", err)
			return durable.FailInvalid(to.topic, len(msgs), i, err)
		}
		e.wire = b.appendHead(e.wire, to.stream(i), len(values))
		for _, name := range slices.Sorted(maps.Keys(values)) { // equal names in one order take less memory on the server
			e.wire = rediskit.AppendWord(e.wire, name)
			if e.wire, err = appendValue(e.wire, values[name]); err != nil {
				err = fmt.Errorf("redisstream: marshal: field %q: %w", name, err)
				return durable.FailInvalid(to.topic, len(msgs), i, err)
			}
		}
	}
	return nil
}

// appendValue adds a value as the client library would write it.
func appendValue(wire []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return rediskit.AppendWord(wire, ""), nil
	case string:
		return rediskit.AppendWord(wire, v), nil
	case []byte:
		return rediskit.AppendWord(wire, v), nil
	case bool:
		if v {
			return rediskit.AppendWord(wire, "1"), nil
		}
		return rediskit.AppendWord(wire, "0"), nil
	case encoding.BinaryMarshaler:
		raw, err := v.MarshalBinary()
		if err != nil {
			return wire, err
		}
		return rediskit.AppendWord(wire, raw), nil
	default:
		return rediskit.AppendWord(wire, fmt.Sprint(v)), nil
	}
}
