package durable

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
)

// ContentTypeStructured is the content-type of a message that is a whole CloudEvent in JSON.
const ContentTypeStructured = "application/cloudevents+json"

// envelope is a CloudEvent in the JSON format.
type envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Type            string          `json:"type"`
	Source          string          `json:"source"`
	Subject         string          `json:"subject,omitempty"`
	Time            string          `json:"time,omitempty"`
	PartitionKey    string          `json:"partitionkey,omitempty"`
	DataContentType string          `json:"datacontenttype,omitempty"`
	Data            json.RawMessage `json:"data,omitempty"`
	DataBase64      []byte          `json:"data_base64,omitempty"`
}

// Structured returns the structured encoding of msg, which [Event.Message] made: the attributes and the data are one
// JSON document in the payload, for consumers that expect that. Data of a JSON content type, or of none, stands in it
// as it is but for white space, other data in base64. All metadata stay beside it, those of the attributes too, which
// CloudEvents allows: what looks at an event's type or id sees them in both encodings. [EventOf] reads both.
// dual.Options.Encoding publishes in it, and so does a wrapped Append:
//
//	middleware.WrapAppend(b, func(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
//		structured, err := durable.AllStructured(topic, msgs)
//		if err != nil {
//			return make([]durable.Position, len(msgs)), err
//		}
//		return b.Append(ctx, topic, structured...)
//	})
//
// A message that is structured already is returned as it is; one that is no event is an *InvalidError.
func Structured(msg *message.Message) (*message.Message, error) {
	m := msg.Metadata
	if isStructured(m) {
		return msg, nil
	}
	if m[MetaID] == "" {
		return nil, Invalid("metadata "+MetaID, "", "the message is not a CloudEvent in binary mode")
	}
	e := envelope{
		SpecVersion: m[MetaSpecVersion], ID: m[MetaID], Type: m[MetaType], Source: m[MetaSource], Subject: m[MetaSubject],
		Time: m[MetaTime], PartitionKey: m[MetaPartitionKey], DataContentType: m[MetaContentType],
	}
	switch {
	case len(msg.Payload) == 0:
	case isJSON(e.DataContentType) && json.Valid(msg.Payload):
		e.Data = json.RawMessage(msg.Payload)
	default:
		e.DataBase64 = msg.Payload
	}
	var payload bytes.Buffer
	enc := json.NewEncoder(&payload)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, fmt.Errorf("durable: structured encoding of %q: %w", e.ID, err)
	}
	out := message.NewMessageWithContext(msg.Context(), msg.UUID, bytes.TrimSuffix(payload.Bytes(), []byte("\n")))
	maps.Copy(out.Metadata, m)
	out.Metadata[MetaContentType] = ContentTypeStructured
	return out, nil
}

// AllStructured is Structured of a batch. The error is a *BatchError in which the offending message is Rejected.
func AllStructured(topic string, msgs []*message.Message) ([]*message.Message, error) {
	out := make([]*message.Message, len(msgs))
	for i, m := range msgs {
		if m == nil {
			return nil, FailInvalid(topic, len(msgs), i, Invalid("message", "nil", "pass a message"))
		}
		var err error
		if out[i], err = Structured(m); err != nil {
			return nil, FailInvalid(topic, len(msgs), i, err)
		}
	}
	return out, nil
}

// Attributes are the metadata that msg has in the binary encoding. They are its own, but for an event in the structured
// encoding whose producer wrote the attributes into the document alone; that one is read at every call. They must not be
// changed. What is no CloudEvent has its own, too.
func Attributes(msg *message.Message) message.Metadata {
	if msg.Metadata[MetaID] != "" || !isStructured(msg.Metadata) {
		return msg.Metadata
	}
	read, err := binary(msg)
	if err != nil {
		return msg.Metadata
	}
	return read.Metadata
}

func isStructured(m message.Metadata) bool {
	return strings.HasPrefix(m[MetaContentType], ContentTypeStructured)
}

// isJSON tells whether a content type is JSON's; the format takes none for JSON.
func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "" || media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

// binary is the binary encoding of msg, whose payload is a CloudEvent in JSON. Attributes that we do not know become
// metadata of the application.
func binary(msg *message.Message) (*message.Message, error) {
	var e envelope
	var all map[string]json.RawMessage
	err := json.Unmarshal(msg.Payload, &e)
	if err == nil {
		err = json.Unmarshal(msg.Payload, &all)
	}
	if err != nil {
		return nil, Invalid("payload", err.Error(), "a CloudEvent in JSON is expected")
	}
	out := message.NewMessageWithContext(msg.Context(), msg.UUID, e.data())
	maps.Copy(out.Metadata, application(msg.Metadata))
	for name, value := range all {
		var text string
		if !known(name) && json.Unmarshal(value, &text) == nil {
			out.Metadata[name] = text
		}
	}
	for key, value := range map[string]string{
		MetaSpecVersion: e.SpecVersion, MetaID: e.ID, MetaType: e.Type, MetaSource: e.Source, MetaSubject: e.Subject,
		MetaTime: e.Time, MetaPartitionKey: e.PartitionKey, MetaContentType: e.DataContentType,
	} {
		if value != "" {
			out.Metadata[key] = value
		}
	}
	return out, nil
}

// data is the event's: what is no JSON may stand in a string.
func (e *envelope) data() []byte {
	if len(e.Data) == 0 {
		return e.DataBase64
	}
	var text string
	if !isJSON(e.DataContentType) && json.Unmarshal(e.Data, &text) == nil {
		return []byte(text)
	}
	return e.Data
}

// known tells whether name is a field of envelope.
func known(name string) bool {
	switch name {
	case "specversion", "id", "type", "source", "subject", "time", "partitionkey", "datacontenttype", "data", "data_base64":
		return true
	default:
		return false
	}
}
