package redisdedupe

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

const (
	commandSize = 160 // bytes of a usual command
	maxDigits   = 20  // of an uint64
)

// wire is a transport over one connection of its own, or one to each master of a cluster, without the client library.
type wire struct{ writer rediskit.Sender }

func (w *wire) close() { w.writer.Close() }

func (w *wire) ping(ctx context.Context) error {
	_, err := w.send(ctx, rediskit.AppendCommand(nil, "ping"), 1)
	return err
}

func (w *wire) reserve(ctx context.Context, prefix string, rs []middleware.Reservation) (own []int, err error) {
	out := make([]byte, 0, commandSize*len(rs))
	for i := range rs {
		out = append(out, "*7\r\n$3\r\nset\r\n"...)
		out = appendKey(out, prefix, rs[i].Key)
		out = appendNumber(out, rs[i].Token)
		out = append(out, "$2\r\nnx\r\n$3\r\nget\r\n$2\r\npx\r\n"...)
		out = appendNumber(out, uint64(ms(rs[i].Lease)))
	}
	replies, err := w.send(ctx, out, len(rs))
	if err != nil {
		return nil, err
	}
	for i := range rs {
		if replies.Null() {
			rs[i].State = middleware.DedupeReserved
			continue
		}
		switch value := replies.Text(); {
		case value == handled:
			rs[i].State = middleware.DedupeHandled
		case isNumber(value, rs[i].Token):
			own = append(own, i)
		default:
			rs[i].State = middleware.DedupeBusy
		}
	}
	return own, malformed(replies)
}

func (w *wire) extend(ctx context.Context, prefix string, rs []middleware.Reservation, own []int) error {
	var out []byte
	for _, i := range own {
		out = appendScript(out, 5, extend, prefix, rs[i].Key, rs[i].Token)
		out = appendNumber(out, uint64(ms(rs[i].Lease)))
	}
	replies, err := w.send(ctx, out, len(own))
	if err != nil {
		return err
	}
	for _, i := range own {
		rs[i].State = extended(replies.Int())
	}
	return malformed(replies)
}

func (w *wire) settle(ctx context.Context, prefix string, ss []middleware.Settlement) error {
	out := make([]byte, 0, commandSize*len(ss))
	for i := range ss {
		if ss[i].Keep > 0 {
			out = append(out, "*5\r\n$3\r\nset\r\n"...)
			out = appendKey(out, prefix, ss[i].Key)
			out = append(out, "$1\r\n"+handled+"\r\n$2\r\npx\r\n"...)
			out = appendNumber(out, uint64(ms(ss[i].Keep)))
		} else {
			out = appendScript(out, 4, release, prefix, ss[i].Key, ss[i].Token)
		}
	}
	_, err := w.send(ctx, out, len(ss))
	return err
}

// appendScript adds EVAL of a script with a key and a token, as the first of so many words after EVAL.
func appendScript(out []byte, words int, script, prefix, key string, token uint64) []byte {
	out = rediskit.AppendArray(out, words+1)
	out = append(out, "$4\r\neval\r\n"...)
	out = rediskit.AppendWord(out, script)
	out = append(out, "$1\r\n1\r\n"...)
	out = appendKey(out, prefix, key)
	return appendNumber(out, token)
}

// appendKey adds prefix and key as one word.
func appendKey(out []byte, prefix, key string) []byte {
	out = strconv.AppendInt(append(out, '$'), int64(len(prefix)+len(key)), 10)
	out = append(out, "\r\n"...)
	out = append(out, prefix...)
	out = append(out, key...)
	return append(out, "\r\n"...)
}

func appendNumber(out []byte, n uint64) []byte {
	var digits [maxDigits]byte
	return rediskit.AppendWord(out, strconv.AppendUint(digits[:0], n, 10))
}

// isNumber tells whether text is n in digits.
func isNumber(text string, n uint64) bool {
	var digits [maxDigits]byte
	return text == string(strconv.AppendUint(digits[:0], n, 10))
}

// send sends n commands and returns their replies, none of which is an error.
func (w *wire) send(ctx context.Context, out []byte, n int) (rediskit.Reply, error) {
	batch := rediskit.NewBatch(out, n)
	_, err := w.writer.Send(ctx, batch)
	switch {
	case errors.Is(err, rediskit.ErrStopped):
		return rediskit.Reply{}, durable.ErrClosed
	case err != nil && ctx.Err() != nil:
		return rediskit.Reply{}, context.Cause(ctx)
	case err != nil:
		return rediskit.Reply{}, down(err)
	}
	replies, got := batch.Replies()
	for check := replies; got > 0; got-- {
		if err := check.Err(); err != nil {
			return rediskit.Reply{}, down(err)
		}
		check.Skip()
	}
	if err := batch.Err(); err != nil {
		return rediskit.Reply{}, down(err)
	}
	return replies, nil
}

// malformed is an error where replies were not what the commands give.
func malformed(replies rediskit.Reply) error {
	if replies.Bad() {
		return fmt.Errorf("%w: %w", durable.ErrUnavailable, rediskit.ErrReply)
	}
	return nil
}
