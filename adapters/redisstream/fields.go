package redisstream

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// metadataPrefix stands before the name of metadata where the payload's fields stand beside them.
const metadataPrefix = "meta."

// Fields is a Marshaller of entries that are plain fields, which any Redis client writes and reads:
//
//	XADD tickets * ticketID 42 state open
//
// It names the fields that hold the attributes of an event. A name must not occur twice. With Data empty the payload
// is a JSON object, and each of its members is a field beside these: texts as they are, numbers, true and false as
// their JSON. An entry holds only texts, and so does the payload that is read from one. Members of other kinds, and those
// named like another field of the entry or "meta.…", are refused at publishing (durable.ErrInvalid). An entry without
// such fields has the payload {}. The content type is application/json where nothing else was said.
//
// An entry has SourceID and what Type, DefaultType and SourceType leave open, or is delivered with DecodeErr; all else
// may be absent. Metadata are fields of their own names, after "meta." where Data is empty; so are a content type and
// a key (ce_partitionkey) that is not the source id. What no field holds is not stored: an id is then that of the
// entry, so that an event which is published twice counts as two, and a time that of its storing.
//
// Messages that are no events are stored in the default layout, and entries of that layout are read.
type Fields struct {
	SourceID    string `yaml:"source_id" zero:"the layout of watermill-redisstream" doc:"field of the source id: entries are then plain fields" example:"ticketID"`
	SourceType  string `yaml:"source_type" zero:"none; required with source_id" doc:"of all events; it is not stored" example:"ticket"`
	Type        string `yaml:"type" zero:"not stored; all have default_type" doc:"field of the type" example:"whatHappened"`
	DefaultType string `yaml:"default_type" zero:"none; entries must have a type" doc:"type of entries that have none" example:"ticket.changed"`
	ID          string `yaml:"id" zero:"not stored; it is that of the entry" doc:"field of the event's id" example:"id"`
	Time        string `yaml:"time" zero:"not stored; it is that of the entry" doc:"field of the time, in RFC 3339" example:"time"`
	Data        string `yaml:"data" zero:"all other fields, as one JSON object" doc:"field of the payload" example:"ticketData"`
}

var _ Marshaller = Fields{}

// Check returns a *durable.InvalidError that names a key of the section fields of a configuration file.
func (f Fields) Check() error {
	if f.SourceID == "" {
		return durable.Invalid("source_id", "", "name the field that holds the source id, such as ticketID")
	}
	e := durable.Event{Type: "any", SourceType: f.SourceType, SourceID: "any"}
	if e.Validate() != nil {
		return durable.Invalid("source_type", f.SourceType, "write the source type of all events, such as ticket")
	}
	if f.Type == "" && f.DefaultType == "" {
		return durable.Invalid("type", "", "name the field that holds the type, or write default_type")
	}
	e.Type = f.DefaultType
	if f.DefaultType != "" && e.Validate() != nil {
		return durable.Invalid("default_type", f.DefaultType, "write a type without control characters, such as ticket.changed")
	}
	taken := map[string]string{fieldUUID: "the default layout", f.SourceID: "source_id"}
	for _, n := range []struct{ key, name string }{{"type", f.Type}, {"id", f.ID}, {"time", f.Time}, {"data", f.Data}} {
		if n.name == "" {
			continue
		}
		if other := taken[n.name]; other != "" {
			return durable.Invalid(n.key, n.name, "name another field: this one is that of "+other)
		}
		taken[n.name] = n.key
	}
	if f.SourceID == fieldUUID {
		return durable.Invalid("source_id", f.SourceID, "name another field: this one is that of the default layout")
	}
	return nil
}

// Marshal implements Marshaller.
func (f Fields) Marshal(_ string, msg *message.Message) (map[string]interface{}, error) {
	e, err := durable.EventOf(msg)
	if err != nil {
		return map[string]interface{}{
			fieldUUID: msg.UUID, fieldMetadata: appendMetadata(nil, msg.Metadata), fieldPayload: []byte(msg.Payload),
		}, nil
	}
	if e.SourceType != f.SourceType {
		return nil, durable.Invalid("SourceType", e.SourceType, "this stream holds events of "+f.SourceType+" alone")
	}
	if f.Type == "" && e.Type != f.DefaultType {
		return nil, durable.Invalid("Type", e.Type, "this stream holds events of type "+f.DefaultType+" alone: name a field for types")
	}
	values := make(map[string]interface{}, len(e.Metadata)+5)
	values[f.SourceID] = e.SourceID
	if f.Type != "" {
		values[f.Type] = e.Type
	}
	if f.ID != "" {
		values[f.ID] = e.ID
	}
	if f.Time != "" && !e.Time.IsZero() {
		values[f.Time] = e.Time.Format(time.RFC3339Nano)
	}
	if err := f.marshalData(values, e); err != nil {
		return nil, err
	}
	for name, value := range f.beside(e, durable.Key(msg)) {
		if err := put(values, f.prefix()+name, value); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// beside is what is stored with e as metadata.
func (f Fields) beside(e durable.Event, key string) map[string]string {
	out := make(map[string]string, len(e.Metadata)+2)
	maps.Copy(out, e.Metadata)
	delete(out, durable.MetaUUID)
	if key != "" && key != e.SourceID {
		out[durable.MetaPartitionKey] = key
	}
	if e.ContentType != "" && (f.Data != "" || e.ContentType != contentTypeJSON) {
		out[durable.MetaContentType] = e.ContentType
	}
	return out
}

// prefix stands before the names of metadata.
func (f Fields) prefix() string {
	if f.Data != "" {
		return ""
	}
	return metadataPrefix
}

// put adds a field.
func put(values map[string]interface{}, name, value string) error {
	if _, twice := values[name]; twice || name == fieldUUID {
		return durable.Invalid("field", name, "the entry has another field of this name")
	}
	values[name] = value
	return nil
}

// Unmarshal implements Marshaller. The id and the time of an entry without their fields are new ones: a Backend takes
// those of the entry.
func (f Fields) Unmarshal(values map[string]interface{}) (*message.Message, error) {
	return f.unmarshal(values, "", time.Time{})
}

// unmarshal reads an entry whose id and time are id and at.
func (f Fields) unmarshal(values map[string]interface{}, id string, at time.Time) (*message.Message, error) {
	texts := make(map[string]string, len(values))
	for name, value := range values {
		text, ok := value.(string)
		if !ok {
			return nil, fmt.Errorf("field %q is a %T where a text is expected", name, value)
		}
		texts[name] = text
	}
	if uuid, ok := texts[fieldUUID]; ok {
		return decoded(uuid, texts[fieldMetadata], texts[fieldPayload])
	}
	e := durable.Event{
		ID: take(texts, f.ID, id), Type: take(texts, f.Type, f.DefaultType), SourceType: f.SourceType,
		SourceID: take(texts, f.SourceID, ""), Time: at,
	}
	if e.SourceID == "" || e.Type == "" {
		return nil, fmt.Errorf("the entry has no %s, but only %q", f.absent(e), slices.Sorted(maps.Keys(values)))
	}
	if text := take(texts, f.Time, ""); text != "" {
		var err error
		if e.Time, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return nil, durable.Invalid("field "+f.Time, text, "RFC 3339 is expected")
		}
	}
	return f.message(e, texts)
}

// absent names the field without which e is none.
func (f Fields) absent(e durable.Event) string {
	if e.SourceID == "" {
		return f.SourceID
	}
	return f.Type
}

// take removes the field name and returns its value, or other where there is none or it is empty.
func take(texts map[string]string, name, other string) string {
	text := texts[name]
	if name != "" {
		delete(texts, name)
	}
	if name == "" || text == "" {
		return other
	}
	return text
}

// message is e with what rest holds: data, metadata, content type and key.
func (f Fields) message(e durable.Event, rest map[string]string) (*message.Message, error) {
	e.Metadata = make(map[string]string, len(rest))
	if f.Data == "" {
		e.ContentType = contentTypeJSON
	} else {
		e.Data = []byte(take(rest, f.Data, ""))
	}
	for name, text := range rest {
		if key, ok := strings.CutPrefix(name, f.prefix()); ok {
			e.Metadata[key] = text
			delete(rest, name)
		}
	}
	key := take(e.Metadata, durable.MetaPartitionKey, "")
	e.ContentType = take(e.Metadata, durable.MetaContentType, e.ContentType)
	if f.Data == "" {
		var err error
		if e.Data, err = marshalRest(rest); err != nil {
			return nil, err
		}
	}
	return e.Message(key)
}
