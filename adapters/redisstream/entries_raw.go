package redisstream

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
)

var errReply = errors.New("redisstream: a reply that is no list of streams and entries")

// reply is a cursor over the bytes of a RESP2 reply. After a fault bad is set and everything is empty.
type reply struct {
	rest []byte
	bad  bool
}

// head reads a header of kind and gives its number; -1 is null.
func (r *reply) head(kind byte) int {
	end := bytes.IndexByte(r.rest, '\n')
	if r.bad || end < 2 || r.rest[0] != kind {
		r.bad = true
		return 0
	}
	n, err := strconv.Atoi(view(r.rest[1 : end-1]))
	if err != nil || n < -1 || n > len(r.rest) {
		r.bad = true
		return 0
	}
	r.rest = r.rest[end+1:]
	return n
}

// text reads a text, which shares the memory of the reply.
func (r *reply) text() string {
	n := r.head('$')
	if r.bad || n < 0 || len(r.rest) < n+2 {
		r.bad = true
		return ""
	}
	s := view(r.rest[:n])
	r.rest = r.rest[n+2:]
	return s
}

// rawStreams reads the reply of XREADGROUP. Nothing that it returns shares memory with raw, so that one message that
// is kept does not keep the others.
func (b *Backend) rawStreams(raw []byte) (map[string][]entry, error) {
	r := &reply{rest: raw}
	streams := r.head('*')
	out := make(map[string][]entry, max(streams, 0))
	for range streams {
		if r.head('*') != 2 {
			r.bad = true
		}
		key := strings.Clone(r.text())
		n := r.head('*')
		if r.bad {
			return nil, errReply
		}
		es := make([]entry, 0, max(n, 0))
		for range n {
			e := b.rawEntry(r)
			if r.bad {
				return nil, errReply
			}
			if e.id != "" {
				es = append(es, e)
			}
		}
		out[key] = es
	}
	if r.bad {
		return nil, errReply
	}
	return out, nil
}

// rawEntry reads one entry. Those of the default layout are decoded at once; of others the fields are kept.
func (b *Backend) rawEntry(r *reply) entry {
	if r.head('*') != 2 {
		r.bad = true
	}
	e := entry{id: strings.Clone(r.text()), attempt: 1}
	n := r.head('*')
	start := r.rest
	var uuid, meta, payload string
	found := false
	for i := 0; i+1 < n && !r.bad; i += 2 {
		name, value := r.text(), r.text()
		switch name {
		case fieldUUID:
			uuid, found = value, true
		case fieldMetadata:
			meta = value
		case fieldPayload:
			payload = value
		}
	}
	if r.bad || n <= 0 {
		return entry{}
	}
	if found && b.cfg.Marshaller == nil {
		if m, err := decodeMetadata(strings.Clone(meta)); err == nil {
			e.msg = message.NewMessage(strings.Clone(uuid), message.Payload(payload))
			e.msg.Metadata = m
			return e
		}
	}
	again := reply{rest: start}
	e.fields = make([]any, n)
	for i := range e.fields {
		e.fields[i] = strings.Clone(again.text())
	}
	return e
}
