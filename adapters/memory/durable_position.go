package memory

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

// appendPosition appends "partition:offset@incarnation" to text.
func (t *topic) appendPosition(text []byte, partition int, offset int64) []byte {
	text = strconv.AppendInt(text, int64(partition), 10)
	text = append(text, ':')
	text = strconv.AppendInt(text, offset, 10)
	text = append(text, '@')
	return append(text, t.incarnation...)
}

func (t *topic) position(partition int, offset int64) durable.Position {
	return durable.Position(t.appendPosition(nil, partition, offset))
}

// parsePosition takes a position apart; ok is false where it is not one of this adapter.
func parsePosition(p durable.Position) (partition int, offset int64, incarnation string, ok bool) {
	place, incarnation, ok1 := strings.Cut(string(p), "@")
	left, right, ok2 := strings.Cut(place, ":")
	partition, err1 := strconv.Atoi(left)
	offset, err2 := strconv.ParseInt(right, 10, 64)
	ok = ok1 && ok2 && err1 == nil && err2 == nil && partition >= 0 && offset >= 0
	return partition, offset, incarnation, ok
}

// offset is the offset that pos names in partition. A position of another incarnation is ErrPositionExpired.
func (t *topic) offset(partition int, pos durable.Position) (int64, error) {
	p, off, incarnation, ok := parsePosition(pos)
	if !ok || p != partition {
		return 0, durable.Invalid("position", string(pos),
			fmt.Sprintf("use a position of partition %d that this backend returned", partition))
	}
	if incarnation != t.incarnation {
		return 0, fmt.Errorf("position %q is of another incarnation of topic %q: %w", pos, t.name, durable.ErrPositionExpired)
	}
	return off, nil
}

// offsetOf is the offset that p names; ok is false where it is not a position of this adapter.
func offsetOf(p durable.Position) (offset int64, ok bool) {
	_, offset, _, ok = parsePosition(p)
	return offset, ok
}

var _ adapterkit.Log = (*place)(nil)

// Bounds implements adapterkit.Log.
func (pl *place) Bounds() (oldest, end int64) { return pl.log().bounds() }

// Since implements adapterkit.Log.
func (pl *place) Since(t time.Time) (int64, error) { return pl.log().since(t), nil }

// Behind implements adapterkit.Log.
func (pl *place) Behind(p durable.Position) (int64, error) {
	off, err := pl.topic.offset(pl.partition, p)
	return off + 1, err
}
