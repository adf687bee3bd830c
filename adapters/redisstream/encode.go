package redisstream

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
)

const argsPerEntry = 9 // xadd stream * and three pairs of field and value

// encode returns one XADD per message. Nothing in it shares memory with msgs.
func (b *Backend) encode(to *placement, msgs []*message.Message) ([]redis.Cmder, error) {
	if b.cfg.Marshaller != nil {
		return b.encodeCustom(to, msgs)
	}
	size := 0
	for _, m := range msgs {
		size += durable.Size(m) + 10*len(m.Metadata) + 5
	}
	arena := make([]byte, 0, size)
	texts := make([]string, 3*len(msgs))
	args := make([]any, 0, (argsPerEntry+3)*len(msgs))
	cmds := make([]redis.Cmder, len(msgs))
	var stream any = to.topic
	cut := func(from int) string { return view(arena[from:len(arena):len(arena)]) }
	for i, m := range msgs {
		uuid, meta, payload := &texts[3*i], &texts[3*i+1], &texts[3*i+2]
		*uuid = m.UUID
		at := len(arena)
		arena = appendMetadata(arena, m.Metadata)
		*meta = cut(at)
		at = len(arena)
		arena = append(arena, m.Payload...)
		*payload = cut(at)
		from := len(args)
		if to.n > 1 {
			stream = to.stream(i)
		}
		args = append(args, "xadd", stream)
		if b.cfg.MaxLen > 0 {
			args = append(args, "maxlen", "~", b.cfg.MaxLen)
		}
		args = append(args, "*", fieldUUID, uuid, fieldMetadata, meta, fieldPayload, payload)
		cmds[i] = redis.NewStringCmd(context.Background(), args[from:len(args):len(args)]...)
	}
	return cmds, nil
}

// encodeCustom encodes by the configured marshaller.
func (b *Backend) encodeCustom(to *placement, msgs []*message.Message) ([]redis.Cmder, error) {
	cmds := make([]redis.Cmder, len(msgs))
	for i, m := range msgs {
		values, err := b.cfg.Marshaller.Marshal(to.topic, m.Copy())
		if err != nil {
			err = fmt.Errorf("redisstream: marshal: %w", err)
			return nil, durable.FailInvalid(to.topic, len(msgs), i, err)
		}
		args := []any{"xadd", to.stream(i)}
		if b.cfg.MaxLen > 0 {
			args = append(args, "maxlen", "~", b.cfg.MaxLen)
		}
		args = append(args, "*")
		for k, v := range values {
			if raw, ok := v.([]byte); ok {
				v = string(raw)
			}
			args = append(args, k, v)
		}
		cmds[i] = redis.NewStringCmd(context.Background(), args...)
	}
	return cmds, nil
}
