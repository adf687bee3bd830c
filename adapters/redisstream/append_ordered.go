package redisstream

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
)

// appendScript appends entries to a stream and stops at the first refusal: KEYS stream; ARGV "layout" and the three
// values of each entry, or "fields" and for each entry the number of its words and the words. The reply is one
// text, because that is cheaper: the ids with blanks between, and behind them "!" with the refusal. A refusal of the
// first entry is an error reply, so that the writer knows a server that became a replica. appendExistingScript refuses
// with "!" alone where there is no stream.
var (
	appendScript         = redis.NewScript(appendSource("'*'"))
	appendExistingScript = redis.NewScript(appendSource("'NOMKSTREAM', '*'"))
)

// mostFields is how many fields an entry of a Config.Marshaller may have in an ordered append: more do not fit on the
// stack of the server's scripts.
const mostFields = 3900

func appendSource(option string) string {
	return strings.ReplaceAll(`
local call, key, args, out, n = redis.pcall, KEYS[1], ARGV, {}, 0
local function refused(r)
  if n == 1 and r then return r end
  out[n] = '!' .. (r and r.err or '')
  return table.concat(out, ' ')
end
if args[1] == 'layout' then
  for i = 2, #args, 3 do
    local r = call('XADD', key, OPTION, '`+fieldUUID+`', args[i], '`+fieldMetadata+`', args[i + 1], '`+fieldPayload+`', args[i + 2])
    n = n + 1
    if type(r) ~= 'string' then return refused(r) end
    out[n] = r
  end
  return table.concat(out, ' ')
end
local i = 2
while i <= #args do
  local words = tonumber(args[i])
  local r = call('XADD', key, OPTION, unpack(args, i + 1, i + words))
  n = n + 1
  if type(r) ~= 'string' then return refused(r) end
  out[n] = r
  i = i + 1 + words
end
return table.concat(out, ' ')`, "OPTION", option)
}

// appendingScript is the one of the two that is configured.
func (b *Backend) appendingScript() *redis.Script {
	if b.cfg.OnlyExisting {
		return appendExistingScript
	}
	return appendScript
}

// appendOrdered appends to each stream with one call that stops at the first refusal, so that nothing is stored behind
// a hole.
func (b *Backend) appendOrdered(ctx context.Context, to *placement, msgs []*message.Message) ([]durable.Position, error) {
	groups := to.byStream(len(msgs))
	for again := false; ; again = true {
		e := encoders.Get().(*encoder)
		if err := b.encodeOrdered(e, to, msgs, groups); err != nil {
			return make([]durable.Position, len(msgs)), err
		}
		var more int
		e.wire, more = b.appendTTL(e.wire, to)
		batch := rediskit.NewBatch(e.wire, len(groups)+more)
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
		if missing, all := unknownScript(batch, len(groups)); missing && !again {
			err := b.appendingScript().Load(ctx, b.control).Err()
			if all && err != nil {
				return make([]durable.Position, len(msgs)), fail(to.topic, msgs, durable.NotSent, unavailable(ctx, err))
			}
			if all {
				continue
			}
		}
		b.trimmer.appended(to.topic, len(msgs))
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
		e.wire = b.appendCall(e.wire, to.stream(g[0]), "layout", 3*len(g))
		for _, i := range g {
			e.wire = rediskit.AppendWord(e.wire, msgs[i].UUID)
			e.meta = appendMetadata(e.meta[:0], msgs[i].Metadata)
			e.wire = rediskit.AppendWord(e.wire, e.meta)
			e.wire = rediskit.AppendWord(e.wire, []byte(msgs[i].Payload))
		}
	}
	return nil
}

// appendCall begins a call of the script with more words behind the kind.
func (b *Backend) appendCall(wire []byte, stream, kind string, more int) []byte {
	wire = rediskit.AppendArray(wire, 5+more)
	for _, w := range []string{"evalsha", b.appendingScript().Hash(), "1", stream, kind} {
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
			if len(values) > mostFields {
				err = fmt.Errorf("redisstream: marshal: %d fields, an ordered append takes %d: %w", len(values), mostFields, durable.ErrTooLarge)
				return durable.FailInvalid(to.topic, len(msgs), i, err)
			}
			words += 1 + 2*len(values)
			fields = rediskit.AppendWord(fields, strconv.Itoa(2*len(values)))
			for _, name := range slices.Sorted(maps.Keys(values)) { // equal names in one order take less memory on the server
				fields = rediskit.AppendWord(fields, name)
				if fields, err = appendValue(fields, values[name]); err != nil {
					err = fmt.Errorf("redisstream: marshal: field %q: %w", name, err)
					return durable.FailInvalid(to.topic, len(msgs), i, err)
				}
			}
		}
		e.wire = append(b.appendCall(e.wire, to.stream(g[0]), "fields", words), fields...)
	}
	return nil
}

// unknownScript tells whether some of n calls did not find the script, and whether none did, so that nothing is stored.
func unknownScript(batch *rediskit.Batch, n int) (missing, all bool) {
	replies, got := batch.Replies()
	all = got >= n
	for range min(n, got) {
		err := replies.Err()
		if err == nil {
			replies.Skip()
		}
		unknown := err != nil && strings.HasPrefix(err.Error(), noScript)
		missing, all = missing || unknown, all && unknown
	}
	return missing, all
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
	stored, refusal, isRefused := strings.Cut(r.Text(), "!")
	ids = make([]string, 0, n)
	for id := range strings.FieldsSeq(stored) {
		ids = append(ids, id)
	}
	switch {
	case isRefused && refusal == "":
		return ids, durable.Rejected, fmt.Errorf("redisstream: append: %w", durable.ErrTopicNotFound)
	case isRefused:
		s, err = classify(rediskit.ServerError(refusal))
		return ids, s, err
	}
	if r.Bad() || len(ids) != n {
		return nil, durable.Unknown, fmt.Errorf("redisstream: append: %w", rediskit.ErrReply)
	}
	return ids, durable.Stored, nil
}
