package adapterkit

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// document is a message as JSON.
type document struct {
	At       *time.Time        `json:"at"` // not nil in what MarshalMessage wrote
	UUID     string            `json:"uuid"`
	Metadata map[string]string `json:"metadata"`
	Payload  []byte            `json:"payload"` // as base64
}

// MarshalMessage is msg, stored at a time, as one line of JSON, for stores of documents or lines. JSON would change text
// that is not UTF-8: in the UUID or the metadata that is an *InvalidError.
func MarshalMessage(msg *message.Message, at time.Time) ([]byte, error) {
	if !utf8.ValidString(fmt.Sprintln(msg.UUID, msg.Metadata)) {
		return nil, durable.Invalid("message", msg.UUID, "use UTF-8 in UUID and metadata")
	}
	return json.Marshal(document{&at, msg.UUID, msg.Metadata, msg.Payload})
}

// UnmarshalRecord is what MarshalMessage wrote, as a record of partition 0. What is something else is the payload, with
// a DecodeErr.
func UnmarshalRecord(text []byte) durable.Record {
	var d document
	err := json.Unmarshal(text, &d)
	if err == nil && d.At == nil {
		err = errors.New("no document of a message")
	}
	if err != nil {
		return durable.Record{Message: message.NewMessage("", text), DecodeErr: err}
	}
	msg := message.NewMessage(d.UUID, d.Payload)
	if d.Metadata != nil {
		msg.Metadata = d.Metadata
	}
	return durable.Record{Message: msg, Key: durable.Key(msg), StoredAt: *d.At}
}
