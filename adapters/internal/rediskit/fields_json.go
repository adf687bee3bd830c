package rediskit

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// binary is a text that is not UTF-8, as JSON has to be. It is written in base64.
type binary struct {
	Base64 []byte `json:"base64"`
}

// named is a value whose name is binary.
type named struct {
	Name  binary `json:"name"`
	Value any    `json:"value"`
}

// FieldsJSON is the fields of an entry, names and values in turn, as a JSON object with sorted names, from which every
// byte of them can be told: a value that is not UTF-8 is {"base64":"…"}, the values of a name that occurs several times
// are an array in their order, and where a name is not UTF-8 its value is {"name":{"base64":"…"},"value":…}, under the
// name with U+FFFD in it.
func FieldsJSON(fields []any) []byte {
	values := make(map[string][]any, len(fields)/2)
	for i := 0; i+1 < len(fields); i += 2 {
		name, _ := fields[i].(string)
		text, _ := fields[i+1].(string)
		value := jsonText(text)
		if !utf8.ValidString(name) {
			name, value = strings.ToValidUTF8(name, "\uFFFD"), named{binary{[]byte(name)}, value}
		}
		values[name] = append(values[name], value)
	}
	object := make(map[string]any, len(values))
	for name, all := range values {
		if object[name] = all; len(all) == 1 {
			object[name] = all[0]
		}
	}
	raw, err := json.Marshal(object)
	if err != nil { // a map of texts always can
		return []byte("{}")
	}
	return raw
}

// jsonText is text as a value of JSON.
func jsonText(text string) any {
	if utf8.ValidString(text) {
		return text
	}
	return binary{[]byte(text)}
}
