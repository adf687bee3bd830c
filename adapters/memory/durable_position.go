package memory

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/dualstream/dualstream/durable"
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

// resolve is the offset at which s begins in partition. An expired start is ErrPositionExpired together with the
// oldest offset.
func (t *topic) resolve(s durable.Start, partition int) (int64, error) {
	p := t.partitions[partition]
	oldest, end := p.bounds()
	switch s.Kind() {
	case durable.StartNewest:
		return end, nil
	case durable.StartAt:
		return p.since(s.Time()), nil
	case durable.StartAfter:
		pos, named := s.Cursor()[partition]
		if !named {
			return oldest, nil
		}
		off, err := t.offset(partition, pos)
		if err != nil {
			return oldest, err
		}
		if off+1 < oldest || off >= end {
			return oldest, fmt.Errorf("position %q of topic %q: %w", pos, t.name, durable.ErrPositionExpired)
		}
		return off + 1, nil
	default:
		return oldest, nil
	}
}

// checkCursor refuses a cursor that names a partition which t does not have.
func (t *topic) checkCursor(c durable.Cursor) error {
	for p := range c {
		if p < 0 || p >= len(t.partitions) {
			return durable.Invalid("partition", strconv.Itoa(p), fmt.Sprintf("topic %q has %d", t.name, len(t.partitions)))
		}
	}
	return nil
}
