package kafka

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/durable"
)

// position is the Position of a record, "partition:offset@incarnation". Without an incarnation it is of whichever topic
// has the name.
func position(partition int32, offset int64, incarnation string) durable.Position {
	var buf [48]byte
	return durable.Position(appendPosition(buf[:0], partition, offset, incarnation))
}

// positionBytes is about how long positions are.
const positionBytes = 20

func appendPosition(buf []byte, partition int32, offset int64, incarnation string) []byte {
	buf = strconv.AppendInt(buf, int64(partition), 10)
	buf = append(buf, ':')
	buf = strconv.AppendInt(buf, offset, 10)
	if incarnation == "" {
		return buf
	}
	buf = append(buf, '@')
	return append(buf, incarnation...)
}

// parsePosition reads what position wrote, but for the incarnation.
func parsePosition(p durable.Position) (partition int32, offset int64, err error) {
	left, right, ok := strings.Cut(string(p), ":")
	right, id, of := strings.Cut(right, "@")
	n, err1 := strconv.ParseInt(left, 10, 32)
	offset, err2 := strconv.ParseInt(right, 10, 64)
	if !ok || err1 != nil || err2 != nil || n < 0 || offset < 0 || of && id == "" {
		return 0, 0, durable.Invalid("position", string(p), "use partition:offset, such as 3:1042, or what a delivery or receipt says")
	}
	return int32(n), offset, nil
}

// incarnationIn is the incarnation that p names, "" where it names none.
func incarnationIn(p durable.Position) string {
	_, id, _ := strings.Cut(string(p), "@")
	return id
}

// cursorOffset is the offset of the last record that the cursor saw in partition. A position of a topic of the same name
// that was deleted is ErrPositionExpired.
func cursorOffset(client sarama.Client, topic string, c durable.Cursor, partition int32) (offset int64, ok bool, err error) {
	pos, ok := c[int(partition)]
	if !ok || pos == "" {
		return 0, false, nil
	}
	in, offset, err := parsePosition(pos)
	if err == nil && in != partition {
		err = durable.Invalid("cursor", string(pos), "each position must belong to the partition it stands for")
	}
	if err == nil {
		err = ofThis(client, topic, pos)
	}
	return offset, err == nil, err
}

func expired(topic string, partition int32, offset, oldest, newest int64) error {
	return fmt.Errorf("offset %d of %s/%d is outside %d to %d: %w", offset, topic, partition, oldest, newest, durable.ErrPositionExpired)
}
