package redisstream

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/dualstream/dualstream/durable"
)

const contentTypeJSON = "application/json"

// marshalData puts the payload of e into values.
func (f Fields) marshalData(values map[string]interface{}, e durable.Event) error {
	if f.Data != "" {
		return put(values, f.Data, string(e.Data))
	}
	if len(e.Data) == 0 {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(e.Data, &members); err != nil || members == nil {
		return durable.Invalid("Data", "", "each member of a JSON object is a field: publish one, or name a field for data")
	}
	for name, raw := range members {
		if strings.HasPrefix(name, metadataPrefix) {
			return durable.Invalid("Data", name, "fields that begin with "+metadataPrefix+" are metadata: name a field for data")
		}
		text, ok := plain(raw)
		if !ok {
			return durable.Invalid("Data", name, "a field is a text, a number, true or false: name a field for data to store other JSON")
		}
		if err := put(values, name, text); err != nil {
			return err
		}
	}
	return nil
}

// plain is a JSON text, number or boolean as the text of a field; false for other JSON.
func plain(raw json.RawMessage) (string, bool) {
	switch raw[0] {
	case '"':
		var text string
		err := json.Unmarshal(raw, &text)
		return text, err == nil
	case '{', '[', 'n':
		return "", false
	default:
		return string(raw), true
	}
}

// marshalRest is texts as a JSON object.
func marshalRest(texts map[string]string) ([]byte, error) {
	for name, text := range texts {
		if !utf8.ValidString(name) || !utf8.ValidString(text) {
			return nil, durable.Invalid("field", name, "it is not UTF-8, as JSON has to be: name a field for data")
		}
	}
	return json.Marshal(texts)
}
