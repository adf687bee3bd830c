package memory

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

// batch is the reused working memory of an Append.
type batch struct {
	place []int    // partition of each message
	recs  []record // the records of one partition
	first []int64  // next offset of each partition
	text  []byte   // positions, one after the other
	ends  []int    // end of each position in text
}

// Append implements durable.Backend. Messages without a key are spread over the partitions in turn.
func (b *Backend) Append(ctx context.Context, name string, msgs ...*message.Message) ([]durable.Position, error) {
	return b.gate.Append(ctx, "memory", name, b.cfg.MaxMessageBytes, msgs, func() ([]durable.Position, error) {
		t := b.topic(name)
		w := b.store.scratch.Get().(*batch)
		defer b.store.scratch.Put(w)
		w.store(t, msgs)
		return w.positions(t), nil
	})
}

// store places msgs and appends them, each partition's as one batch.
func (w *batch) store(t *topic, msgs []*message.Message) {
	n := len(t.partitions)
	w.place = w.place[:0]
	w.first = append(w.first[:0], make([]int64, n)...)
	for _, m := range msgs {
		p := t.place(durable.Key(m))
		w.place = append(w.place, p)
		w.first[p]++
	}
	now := time.Now().UnixNano()
	for p := range n {
		if w.first[p] == 0 {
			continue
		}
		w.collect(p, msgs)
		w.first[p] = t.partitions[p].append(w.recs, now)
		clear(w.recs)
	}
}

// collect copies the messages of partition p into recs: one allocation for all payloads, one for all metadata.
func (w *batch) collect(p int, msgs []*message.Message) {
	payload, pairs := 0, 0
	for i, m := range msgs {
		if w.place[i] == p {
			payload += len(m.Payload)
			pairs += len(m.Metadata)
		}
	}
	data := make([]byte, 0, payload)
	meta := make([]pair, 0, pairs)
	w.recs = w.recs[:0]
	for i, m := range msgs {
		if w.place[i] != p {
			continue
		}
		d, k := len(data), len(meta)
		r := record{uuid: m.UUID, size: len(m.UUID) + len(m.Payload) + recordOverhead}
		data = append(data, m.Payload...)
		for key, value := range m.Metadata {
			if key == durable.MetaPartitionKey {
				r.key = value
			}
			r.size += len(key) + len(value)
			meta = append(meta, pair{key, value})
		}
		r.payload = data[d:len(data):len(data)]
		r.meta = meta[k:len(meta):len(meta)]
		w.recs = append(w.recs, r)
	}
}

// positions gives the position of each message; all of them share one text.
func (w *batch) positions(t *topic) []durable.Position {
	w.text, w.ends = w.text[:0], w.ends[:0]
	for _, p := range w.place {
		w.text = adapterkit.AppendPosition(w.text, p, w.first[p], t.incarnation)
		w.ends = append(w.ends, len(w.text))
		w.first[p]++
	}
	text := string(w.text)
	out := make([]durable.Position, len(w.ends))
	from := 0
	for i, to := range w.ends {
		out[i] = durable.Position(text[from:to])
		from = to
	}
	return out
}
