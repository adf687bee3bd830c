package kafka

import (
	"strconv"
	"strings"

	"github.com/dualstream/dualstream/durable"
)

// position is the Position of a record.
func position(partition int32, offset int64) durable.Position {
	var buf [32]byte
	return durable.Position(appendPosition(buf[:0], partition, offset))
}

func appendPosition(buf []byte, partition int32, offset int64) []byte {
	buf = strconv.AppendInt(buf, int64(partition), 10)
	buf = append(buf, ':')
	return strconv.AppendInt(buf, offset, 10)
}

// parsePosition reads what position wrote.
func parsePosition(p durable.Position) (partition int32, offset int64, err error) {
	left, right, ok := strings.Cut(string(p), ":")
	n, err1 := strconv.ParseInt(left, 10, 32)
	offset, err2 := strconv.ParseInt(right, 10, 64)
	if !ok || err1 != nil || err2 != nil || n < 0 || offset < 0 {
		return 0, 0, durable.Invalid("position", string(p), "use partition:offset, such as 3:1042")
	}
	return int32(n), offset, nil
}

// cursorOffset is the offset of the last record that the cursor saw in partition.
func cursorOffset(c durable.Cursor, partition int32) (offset int64, ok bool, err error) {
	pos, ok := c[int(partition)]
	if !ok || pos == "" {
		return 0, false, nil
	}
	in, offset, err := parsePosition(pos)
	if err == nil && in != partition {
		err = durable.Invalid("cursor", string(pos), "each position must belong to the partition it stands for")
	}
	return offset, err == nil, err
}
