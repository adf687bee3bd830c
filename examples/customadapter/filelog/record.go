package filelog

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

var errTorn = errors.New("the record is not whole")

// entry is what is stored of a message, as JSON behind its checksum: "cbf43926 {…}\n".
type entry struct {
	At       time.Time         `json:"at"`
	UUID     string            `json:"uuid"`
	Metadata map[string]string `json:"metadata"`
	Payload  []byte            `json:"payload"`
}

// record is an entry as it is in the log, and where.
type record struct {
	from, to int64
	json     []byte
}

// appendRecord appends to dst what is stored of msg, which JSON can hold if its texts are UTF-8.
func appendRecord(dst []byte, at time.Time, msg *message.Message) ([]byte, error) {
	if !utf8.ValidString(msg.UUID) {
		return dst, durable.Invalid("UUID", msg.UUID, "use UTF-8")
	}
	for key, value := range msg.Metadata {
		if !utf8.ValidString(key + value) {
			return dst, durable.Invalid("metadata", key, "use UTF-8")
		}
	}
	text, err := json.Marshal(entry{at, msg.UUID, msg.Metadata, msg.Payload})
	return fmt.Appendf(dst, "%08x %s\n", crc32.ChecksumIEEE(text), text), err
}

// readRecord reads the record that begins at offset from. What is not a whole one is errTorn.
func readRecord(r *bufio.Reader, from int64) (record, error) {
	line, err := r.ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return record{}, err
	}
	if err != nil || len(line) < 10 {
		return record{}, errTorn
	}
	text := line[9 : len(line)-1]
	if fmt.Sprintf("%08x ", crc32.ChecksumIEEE(text)) != string(line[:9]) {
		return record{}, errTorn
	}
	return record{from, from + int64(len(line)), text}, nil
}

// message is the message that is stored, and when that was. What is not one has an error and is the payload.
func (r record) message() (*message.Message, time.Time, error) {
	var e entry
	if err := json.Unmarshal(r.json, &e); err != nil {
		return message.NewMessage("", r.json), time.Time{}, err
	}
	msg := message.NewMessage(e.UUID, e.Payload)
	msg.Metadata = e.Metadata
	return msg, e.At, nil
}
