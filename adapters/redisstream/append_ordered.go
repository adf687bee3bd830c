package redisstream

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
)

// appendScript appends entries to a stream and stops at the first refusal: KEYS stream; ARGV "layout" and the three
// values of each entry, or "fields" and for each entry the number of its words and the words. The reply is the ids,
// and behind them "!" with the refusal.
var appendScript = redis.NewScript(`
local out, i, n = {}, 2, 3
local layout = ARGV[1] == 'layout'
while i <= #ARGV do
  local r
  if layout then
    r = redis.pcall('XADD', KEYS[1], '*', '` + fieldUUID + `', ARGV[i], '` + fieldMetadata + `', ARGV[i + 1], '` + fieldPayload + `', ARGV[i + 2])
  else
    n = tonumber(ARGV[i]) + 1
    r = redis.pcall('XADD', KEYS[1], '*', unpack(ARGV, i + 1, i + n - 1))
  end
  if type(r) == 'table' then
    out[#out + 1] = '!' .. r.err
    return out
  end
  out[#out + 1] = r
  i = i + n
end
return out`)

// appendOrdered appends to each stream with one call that stops at the first refusal, so that nothing is stored behind
// a hole.
func (b *Backend) appendOrdered(ctx context.Context, to *placement, msgs []*message.Message) ([]durable.Position, error) {
	groups := to.byStream(len(msgs))
	for again := false; ; again = true {
		e := encoders.Get().(*encoder)
		if err := b.encodeOrdered(e, to, msgs, groups); err != nil {
			return make([]durable.Position, len(msgs)), err
		}
		batch := rediskit.NewBatch(e.wire, len(groups))
		fate, err := b.writer.Send(ctx, batch)
		if fate != rediskit.Unknown {
			e.keep()
		}
		switch fate {
		case rediskit.NotSent:
			return make([]durable.Position, len(msgs)), fail(to.topic, msgs, durable.NotSent, unsent(ctx, err))
		case rediskit.Unknown:
			return make([]durable.Position, len(msgs)), fail(to.topic, msgs, durable.Unknown, err)
		case rediskit.Answered:
		}
		if !again && unknownScript(batch) {
			if err := appendScript.Load(ctx, b.control).Err(); err != nil {
				return make([]durable.Position, len(msgs)), fail(to.topic, msgs, durable.NotSent, unavailable(err))
			}
			continue
		}
		return b.orderedResults(to, msgs, groups, batch)
	}
}

// byStream is the indexes of n messages by the stream that they go to.
func (p *placement) byStream(n int) [][]int {
	groups := make([][]int, p.n)
	for i := range n {
		at := 0
		if p.n > 1 {
			at = p.parts[i]
		}
		groups[at] = append(groups[at], i)
	}
	used := groups[:0]
	for _, g := range groups {
		if len(g) > 0 {
			used = append(used, g)
		}
	}
	return used
}

// encodeOrdered puts one call per stream into e.wire.
func (b *Backend) encodeOrdered(e *encoder, to *placement, msgs []*message.Message, groups [][]int) error {
	e.wire = e.wire[:0]
	if b.cfg.Marshaller != nil {
		return b.encodeOrderedCustom(e, to, msgs, groups)
	}
	for _, g := range groups {
		e.wire = appendCall(e.wire, to.stream(g[0]), "layout", 3*len(g))
		for _, i := range g {
			e.wire = rediskit.AppendWord(e.wire, msgs[i].UUID)
			e.meta = appendMetadata(e.meta[:0], msgs[i].Metadata)
			e.wire = rediskit.AppendWord(e.wire, e.meta)
			e.wire = rediskit.AppendWord(e.wire, []byte(msgs[i].Payload))
		}
	}
	return nil
}

// appendCall begins a call of appendScript with more words behind the kind.
func appendCall(wire []byte, stream, kind string, more int) []byte {
	wire = rediskit.AppendArray(wire, 5+more)
	for _, w := range []string{"evalsha", appendScript.Hash(), "1", stream, kind} {
		wire = rediskit.AppendWord(wire, w)
	}
	return wire
}

// encodeOrderedCustom encodes by the configured marshaller.
func (b *Backend) encodeOrderedCustom(e *encoder, to *placement, msgs []*message.Message, groups [][]int) error {
	for _, g := range groups {
		var fields []byte
		words := 0
		for _, i := range g {
			values, err := b.cfg.Marshaller.Marshal(to.topic, msgs[i].Copy())
			if err != nil {
				err = fmt.Errorf("redisstream: marshal: %w", err)
				return durable.FailInvalid(to.topic, len(msgs), i, err)
			}
			words += 1 + 2*len(values)
			fields = rediskit.AppendWord(fields, strconv.Itoa(2*len(values)))
			for name, value := range values {
				fields = rediskit.AppendWord(fields, name)
				if fields, err = appendValue(fields, value); err != nil {
					err = fmt.Errorf("redisstream: marshal: field %q: %w", name, err)
					return durable.FailInvalid(to.topic, len(msgs), i, err)
				}
			}
		}
		e.wire = append(appendCall(e.wire, to.stream(g[0]), "fields", words), fields...)
	}
	return nil
}

// unknownScript tells whether the server does not have the script, and so has stored nothing.
func unknownScript(batch *rediskit.Batch) bool {
	replies, got := batch.Replies()
	err := replies.Err()
	return got > 0 && err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT")
}

// orderedResults reads the outcomes off the reply of each stream.
func (b *Backend) orderedResults(to *placement, msgs []*message.Message, groups [][]int, batch *rediskit.Batch) ([]durable.Position, error) {
	positions, outcomes := make([]durable.Position, len(msgs)), make([]durable.Outcome, len(msgs))
	replies, got := batch.Replies()
	short, failed := b.tooFew(batch), false
	for at, g := range groups {
		ids, status, err := []string(nil), durable.Unknown, error(nil)
		if at < got {
			ids, status, err = streamResult(&replies, len(g))
		} else {
			err = fmt.Errorf("redisstream: %w: %w", durable.ErrUnavailable, batch.Err())
		}
		for k, i := range g {
			switch {
			case k < len(ids) && short == nil:
				positions[i] = to.position(i, ids[k])
				continue
			case k < len(ids):
				outcomes[i] = durable.Outcome{Status: durable.Unknown, Err: short}
			case k == len(ids) || status == durable.Unknown:
				outcomes[i] = durable.Outcome{Status: status, Err: err}
			default:
				outcomes[i] = durable.Outcome{Status: durable.NotSent, Err: fmt.Errorf("behind a message that was not stored: %w", err)}
			}
			failed = true
		}
	}
	if !failed {
		return positions, nil
	}
	return positions, &durable.BatchError{Topic: to.topic, Outcomes: outcomes}
}

// streamResult is the ids of the n entries that one call stored, and what became of the first that it did not.
func streamResult(r *rediskit.Reply, n int) (ids []string, s durable.Status, err error) {
	if refused := r.Err(); refused != nil {
		s, err = classify(refused)
		return nil, s, err
	}
	ids = make([]string, 0, n)
	for range r.Len() {
		text := r.Text()
		if refusal, is := strings.CutPrefix(text, "!"); is {
			s, err = classify(rediskit.ServerError(refusal))
			return ids, s, err
		}
		ids = append(ids, text)
	}
	if r.Bad() || len(ids) != n {
		return nil, durable.Unknown, fmt.Errorf("redisstream: append: %w", rediskit.ErrReply)
	}
	return ids, durable.Stored, nil
}
