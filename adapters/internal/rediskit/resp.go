package rediskit

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"unsafe"
)

// ErrReply is a reply of another form than the command gives.
var ErrReply = errors.New("a reply of an unexpected form")

// mostNested bounds the arrays within arrays of a reply.
const mostNested = 8

// ServerError is an error reply. It is a redis.Error of the client library.
type ServerError string

// Error is the text of the reply.
func (e ServerError) Error() string { return string(e) }

// RedisError marks an error reply.
func (e ServerError) RedisError() {}

// AppendArray begins a command of n words.
func AppendArray(b []byte, n int) []byte {
	b = strconv.AppendInt(append(b, '*'), int64(n), 10)
	return append(b, '\r', '\n')
}

// AppendWord adds a word of a command.
func AppendWord[T string | []byte](b []byte, word T) []byte {
	b = strconv.AppendInt(append(b, '$'), int64(len(word)), 10)
	b = append(b, '\r', '\n')
	b = append(b, word...)
	return append(b, '\r', '\n')
}

// AppendCommand adds a whole command.
func AppendCommand(b []byte, words ...string) []byte {
	b = AppendArray(b, len(words))
	for _, w := range words {
		b = AppendWord(b, w)
	}
	return b
}

// Reply is a cursor over the bytes of RESP2 replies. After a fault Bad is true and everything is empty. Texts share
// the memory of the replies.
type Reply struct {
	rest []byte
	bad  bool
}

// NewReply reads raw, which must not change while its texts are used.
func NewReply(raw []byte) Reply { return Reply{rest: raw} }

// Bad tells whether a reply was of another form than asked for.
func (r *Reply) Bad() bool { return r.bad }

// Fail makes the cursor bad.
func (r *Reply) Fail() { r.bad = true }

// Rest is what was not read yet.
func (r *Reply) Rest() []byte { return r.rest }

// Kind is the first byte of the next reply, 0 where there is none.
func (r *Reply) Kind() byte {
	if r.bad || len(r.rest) == 0 {
		return 0
	}
	return r.rest[0]
}

// Head reads a header of kind and gives its number; -1 is null.
func (r *Reply) Head(kind byte) int {
	if r.bad || len(r.rest) < 4 || r.rest[0] != kind {
		r.bad = true
		return 0
	}
	n, at := 0, 1
	if r.rest[1] == '-' {
		if r.rest[2] != '1' || r.rest[3] != '\r' {
			r.bad = true
			return 0
		}
		n, at = -1, 3
	}
	for ; at < len(r.rest) && r.rest[at] != '\r'; at++ {
		d := int(r.rest[at]) - '0'
		if d < 0 || d > 9 || n > 1<<40 {
			r.bad = true
			return 0
		}
		n = 10*n + d
	}
	if at+2 > len(r.rest) || r.rest[at+1] != '\n' {
		r.bad = true
		return 0
	}
	r.rest = r.rest[at+2:]
	return n
}

// Len reads the header of an array and gives how many elements follow; a null array has none. It is never more
// than there are bytes.
func (r *Reply) Len() int {
	n := max(r.Head('*'), 0)
	if n > len(r.rest) {
		r.bad = true
		return 0
	}
	return n
}

// Bytes reads a bulk text.
func (r *Reply) Bytes() []byte {
	n := r.Head('$')
	if r.bad || n < 0 || len(r.rest) < n+2 {
		r.bad = true
		return nil
	}
	s := r.rest[:n:n]
	r.rest = r.rest[n+2:]
	return s
}

// Null reads a null text and leaves any other reply where it is.
func (r *Reply) Null() bool {
	if r.bad || !bytes.HasPrefix(r.rest, []byte("$-1\r\n")) {
		return false
	}
	r.rest = r.rest[len("$-1\r\n"):]
	return true
}

// Text is Bytes as text.
func (r *Reply) Text() string { return view(r.Bytes()) }

// Int reads an integer.
func (r *Reply) Int() int64 {
	line := r.line(':')
	n, err := strconv.ParseInt(view(line), 10, 64)
	if err != nil {
		r.bad = true
		return 0
	}
	return n
}

// Err reads an error reply, a ServerError, or what stands for a missing one, a *LostError, and leaves any other reply
// where it is.
func (r *Reply) Err() error {
	switch r.Kind() {
	case '-':
		return ServerError(r.line('-'))
	case lost:
		return newLostError(r.line(lost))
	default:
		return nil
	}
}

// line reads a reply of one line.
func (r *Reply) line(kind byte) []byte {
	end := bytes.IndexByte(r.rest, '\n')
	if r.bad || end < 2 || r.rest[0] != kind {
		r.bad = true
		return nil
	}
	line := r.rest[1 : end-1]
	r.rest = r.rest[end+1:]
	return line
}

// Skip reads any reply.
func (r *Reply) Skip() {
	switch kind := r.Kind(); kind {
	case '$':
		if n := r.Head('$'); !r.bad && n >= 0 {
			if len(r.rest) < n+2 {
				r.bad = true
				return
			}
			r.rest = r.rest[n+2:]
		}
	case '*':
		for range r.Len() {
			if r.bad {
				return
			}
			r.Skip()
		}
	default:
		r.line(kind)
	}
}

// view is b as text without a copy; b must not change afterwards.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// ReadReply appends the next reply of in to raw.
func ReadReply(in *bufio.Reader, raw []byte) ([]byte, error) { return readReply(in, raw, 0) }

func readReply(in *bufio.Reader, raw []byte, depth int) ([]byte, error) {
	from := len(raw)
	piece, err := in.ReadSlice('\n')
	raw = append(raw, piece...)
	for errors.Is(err, bufio.ErrBufferFull) {
		piece, err = in.ReadSlice('\n')
		raw = append(raw, piece...)
	}
	if err != nil {
		return raw, err
	}
	line := raw[from:]
	if len(line) < 3 {
		return raw, ErrReply
	}
	switch line[0] {
	case '+', '-', ':':
		return raw, nil
	case '$', '*':
	default:
		return raw, ErrReply
	}
	head := NewReply(line)
	n := head.Head(line[0])
	if head.bad {
		return raw, ErrReply
	}
	if line[0] == '$' {
		return readBulk(in, raw, n)
	}
	if depth == mostNested {
		return raw, ErrReply
	}
	for range n {
		if raw, err = readReply(in, raw, depth+1); err != nil {
			return raw, err
		}
	}
	return raw, nil
}

// readBulk appends n bytes and the end of their line.
func readBulk(in *bufio.Reader, raw []byte, n int) ([]byte, error) {
	if n < 0 {
		return raw, nil
	}
	for left := n + 2; left > 0; {
		piece, err := in.Peek(min(left, max(in.Buffered(), 1)))
		raw = append(raw, piece...)
		left -= len(piece)
		if _, discard := in.Discard(len(piece)); discard != nil {
			return raw, discard
		}
		if err != nil {
			return raw, unexpected(err)
		}
	}
	return raw, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
