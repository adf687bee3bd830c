package durable

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Metadata keys of an event: the CloudEvents 1.0 attributes as the Kafka binding's binary mode names them.
const (
	MetaSpecVersion  = "ce_specversion"
	MetaID           = "ce_id"
	MetaType         = "ce_type"
	MetaSource       = "ce_source" // "/" and the source type
	MetaSubject      = "ce_subject"
	MetaTime         = "ce_time" // RFC 3339 with nanoseconds, UTC
	MetaPartitionKey = "ce_partitionkey"
	MetaContentType  = "content-type"

	specVersion = "1.0"
)

// MaxSourceID is the largest SourceID in bytes.
const MaxSourceID = 512

// Event is what happened to a source. The zero values of ID and Time are filled when it becomes a message.
type Event struct {
	ID          string            // unique; defaults to a UUIDv7
	Type        string            // such as "order.created"; required
	SourceType  string            // kind of the source, [A-Za-z0-9._-]+; required
	SourceID    string            // the source: text without control characters, at most MaxSourceID bytes; required
	Time        time.Time         // defaults to now; kept in UTC
	Data        []byte            // the payload, carried as it is
	ContentType string            // media type of Data; "" says nothing
	Metadata    map[string]string // the application's own; keys "ce_…", "content-type" and the UUID's are reserved
}

// Fill returns e with ID and Time set.
func (e Event) Fill() Event {
	if e.ID == "" {
		e.ID = NewID()
	}
	e.fillTime()
	return e
}

func (e *Event) fillTime() {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
}

// Validate returns an *InvalidError that names the first field that is not acceptable, or nil.
func (e Event) Validate() error { return e.check() }

func (e *Event) check() error {
	if hasControl(e.ID) || !utf8.ValidString(e.ID) {
		return Invalid("ID", e.ID, "use text without control characters, or leave it empty")
	}
	if e.Type == "" || hasControl(e.Type) || !utf8.ValidString(e.Type) {
		return Invalid("Type", e.Type, "use a non-empty text without control characters, such as order.created")
	}
	if e.SourceType == "" || !plainName(e.SourceType, "._-") {
		return Invalid("SourceType", e.SourceType, nameRemedy)
	}
	if e.SourceID == "" || len(e.SourceID) > MaxSourceID || hasControl(e.SourceID) || !utf8.ValidString(e.SourceID) {
		return Invalid("SourceID", e.SourceID, "use a non-empty text without control characters, at most 512 bytes")
	}
	if y := e.Time.UTC().Year(); y < 0 || y > 9999 {
		return Invalid("Time", strconv.Itoa(y), "use a year from 0 to 9999, as RFC 3339 does")
	}
	if hasControl(e.ContentType) {
		return Invalid("ContentType", e.ContentType, "use a media type such as application/json")
	}
	return e.validateMetadata()
}

func (e *Event) validateMetadata() error {
	for k := range e.Metadata {
		if k == MetaContentType || k == MetaUUID || strings.HasPrefix(k, "ce_") {
			return Invalid("metadata key", k, "it is reserved; set the field of Event instead")
		}
		if k == "" || hasControl(k) {
			return Invalid("metadata key", k, metaKeyRemedy)
		}
	}
	return nil
}

// Message returns e as the message that is stored, placed by key (SourceID where key is ""). ID and Time are
// filled. Data is shared with the message, Metadata is copied. The error is an *InvalidError.
func (e Event) Message(key string) (*message.Message, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	e = e.Fill()
	msg := message.NewMessage(e.ID, e.Data)
	e.write(msg, key, "/"+e.SourceType, e.Time.Format(time.RFC3339Nano))
	return msg, nil
}

// EventOf reads an event back from msg, in the binary or the structured encoding. A message without the CloudEvents
// attributes is an *InvalidError. Data is shared with the message in the binary encoding.
func EventOf(msg *message.Message) (Event, error) {
	if isStructured(msg.Metadata) {
		var err error
		if msg, err = binary(msg); err != nil {
			return Event{}, err
		}
	}
	m := msg.Metadata
	e := Event{
		ID:          m[MetaID],
		Type:        m[MetaType],
		SourceType:  strings.TrimPrefix(m[MetaSource], "/"),
		SourceID:    m[MetaSubject],
		Data:        msg.Payload,
		ContentType: m[MetaContentType],
	}
	if e.ID == "" {
		return Event{}, Invalid("metadata "+MetaID, "", "the message is not a CloudEvent in binary mode")
	}
	if t := m[MetaTime]; t != "" {
		at, err := time.Parse(time.RFC3339Nano, t)
		if err != nil {
			return Event{}, Invalid("metadata "+MetaTime, t, "RFC 3339 is expected")
		}
		e.Time = at.UTC()
	}
	e.Metadata = application(m)
	return e, e.Validate()
}

// application is the part of m that is not an attribute of the event, nil if there is none.
func application(m message.Metadata) map[string]string {
	var out map[string]string
	for k, v := range m {
		if k == MetaContentType || strings.HasPrefix(k, "ce_") {
			continue
		}
		if out == nil {
			out = make(map[string]string, len(m))
		}
		out[k] = v
	}
	return out
}
