package redisstream

import (
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
)

// MetaFields is the metadata key of a delivery with a DecodeErr that has the payload of an entry of the default layout:
// the fields beside it, such as metadata that are broken, as a JSON object. See the package documentation.
const MetaFields = "ds-redis-fields"

// decode is the message of e; with an error, what stands in for it.
func (b *Backend) decode(e entry) (*message.Message, error) {
	if e.msg != nil {
		return e.msg, nil
	}
	msg, err := b.unmarshal(e)
	if err != nil {
		return b.undecodable(e), err
	}
	return msg, nil
}

// undecodable stands in for the message of an entry that is none, and has every byte of it: the payload of the default
// layout as it is, with the id of its field and what is beside them as MetaFields, or all fields as a JSON object.
func (b *Backend) undecodable(e entry) *message.Message {
	id, hasID := single(e.fields, fieldUUID)
	payload, has := single(e.fields, fieldPayload)
	if !has || !b.readsDefault(hasID) {
		return message.NewMessage(e.id, rediskit.FieldsJSON(e.fields))
	}
	msg := message.NewMessage(e.id, message.Payload(payload))
	var rest []any
	for i := 0; i+1 < len(e.fields); i += 2 {
		switch name := e.fields[i]; {
		case name == fieldPayload:
		case name == fieldUUID && id != "":
			msg.UUID = id
		default:
			rest = append(rest, name, e.fields[i+1])
		}
	}
	if len(rest) > 0 {
		msg.Metadata[MetaFields] = string(rediskit.FieldsJSON(rest))
	}
	return msg
}

// readsDefault tells whether an entry is one of the default layout, if anything; hasID: it has the field of its id.
func (b *Backend) readsDefault(hasID bool) bool {
	if b.cfg.Marshaller == nil {
		return true
	}
	_, ok := b.cfg.Marshaller.(Fields)
	return ok && hasID
}

// single is the value of name among fields, if it occurs once.
func single(fields []any, name string) (value string, ok bool) {
	times := 0
	for i := 0; i+1 < len(fields); i += 2 {
		if fields[i] == name {
			value, ok = fields[i+1].(string)
			times++
		}
	}
	if times != 1 {
		return "", false
	}
	return value, ok
}
