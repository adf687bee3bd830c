package redisstream

import (
	"bytes"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
)

// rawStreams reads the reply of XREADGROUP. Nothing that it returns shares memory with raw, so that one message that
// is kept does not keep the others.
func (b *Backend) rawStreams(raw []byte) (map[string][]entry, error) {
	r := rediskit.NewReply(raw)
	streams := r.Len()
	out := make(map[string][]entry, streams)
	for range streams {
		if r.Len() != 2 {
			r.Fail()
		}
		key := strings.Clone(r.Text())
		n := r.Len()
		if r.Bad() {
			return nil, rediskit.ErrReply
		}
		es := make([]entry, 0, n)
		for range n {
			e := b.rawEntry(&r)
			if r.Bad() {
				return nil, rediskit.ErrReply
			}
			if e.id != "" {
				es = append(es, e)
			}
		}
		out[key] = es
	}
	if r.Bad() {
		return nil, rediskit.ErrReply
	}
	return out, nil
}

// span is where a text stands.
type span struct{ from, to int }

// rawEntry reads one entry; one that was deleted has no id. Those of the default layout are decoded at once, and own
// one copy of their bytes; of others the fields are kept.
func (b *Backend) rawEntry(r *rediskit.Reply) entry {
	if r.Len() != 2 {
		r.Fail()
	}
	all := r.Rest()
	text := func() (string, span) {
		s := r.Text()
		to := len(all) - len(r.Rest()) - len("\r\n")
		return s, span{to - len(s), to}
	}
	_, id := text()
	n := r.Len()
	fields := *r
	var uuid, meta, payload span
	found := false
	for i := 0; i+1 < n && !r.Bad(); i += 2 {
		name := r.Text()
		_, value := text()
		switch name {
		case fieldUUID:
			uuid, found = value, true
		case fieldMetadata:
			meta = value
		case fieldPayload:
			payload = value
		}
	}
	if r.Bad() || n <= 0 {
		return entry{}
	}
	if found && b.cfg.Marshaller == nil {
		own := bytes.Clone(all[:len(all)-len(r.Rest())])
		if m, err := decodeMetadata(view(own[meta.from:meta.to])); err == nil {
			msg := message.NewMessage(view(own[uuid.from:uuid.to]), own[payload.from:payload.to:payload.to])
			msg.Metadata = m
			return entry{id: view(own[id.from:id.to]), attempt: 1, msg: msg}
		}
	}
	e := entry{id: strings.Clone(view(all[id.from:id.to])), attempt: 1, fields: make([]any, n)}
	for i := range e.fields {
		e.fields[i] = strings.Clone(fields.Text())
	}
	return e
}
