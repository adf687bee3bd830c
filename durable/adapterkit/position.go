package adapterkit

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dualstream/dualstream/durable"
)

// AppendPosition appends "partition:offset@incarnation" to dst: a position of a log whose records are known by their
// offsets. The incarnation tells a topic apart from one of the same name that was deleted.
func AppendPosition(dst []byte, partition int, offset int64, incarnation string) []byte {
	dst = strconv.AppendInt(dst, int64(partition), 10)
	dst = append(dst, ':')
	dst = strconv.AppendInt(dst, offset, 10)
	dst = append(dst, '@')
	return append(dst, incarnation...)
}

// ParsePosition takes apart what AppendPosition wrote; ok is false where p is something else.
func ParsePosition(p durable.Position) (partition int, offset int64, incarnation string, ok bool) {
	place, incarnation, ok1 := strings.Cut(string(p), "@")
	left, right, ok2 := strings.Cut(place, ":")
	partition, err1 := strconv.Atoi(left)
	offset, err2 := strconv.ParseInt(right, 10, 64)
	ok = ok1 && ok2 && err1 == nil && err2 == nil && partition >= 0 && offset >= 0
	return partition, offset, incarnation, ok
}

// OffsetOf is the offset that p names in a partition. One of another partition, or that is none, is an *InvalidError,
// and one of another incarnation is ErrPositionExpired.
func OffsetOf(p durable.Position, partition int, incarnation string) (int64, error) {
	in, offset, of, ok := ParsePosition(p)
	if !ok || in != partition {
		return 0, durable.Invalid("position", string(p),
			fmt.Sprintf("use a position of partition %d that this backend returned", partition))
	}
	if of != incarnation {
		return 0, fmt.Errorf("position %q is of another incarnation of the topic: %w", p, durable.ErrPositionExpired)
	}
	return offset, nil
}

// Offset is the offset that the position of d names, for Seats.
func Offset(d *durable.Delivery) (offset int64, ok bool) {
	_, offset, _, ok = ParsePosition(d.Position)
	return offset, ok
}
