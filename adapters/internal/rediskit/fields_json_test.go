package rediskit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

func TestFieldsAsJSONLoseNothing(t *testing.T) {
	for want, fields := range map[string][]any{
		`{}`:                            nil,
		`{"a":"2","z":"1"}`:             {"z", "1", "a", "2"},
		`{"a":["2","1",""]}`:            {"a", "2", "a", "1", "a", ""},
		`{"a":{"base64":"/wA="}}`:       {"a", "\xff\x00"},
		`{"a":["x",{"base64":"/wA="}]}`: {"a", "x", "a", "\xff\x00"},
		`{"a":"{\"base64\":\"/wA=\"}"}`: {"a", `{"base64":"/wA="}`},
		`{"":"nameless"}`:               {"", "nameless"},
		"{\"a\":\"\uFFFD\"}":            {"a", "\uFFFD"},
		`{"a":{"base64":"7aCA"}}`:       {"a", "\xed\xa0\x80"}, // half of a pair of UTF-16
		"{\"a\uFFFD\":{\"name\":{\"base64\":\"Yf8=\"},\"value\":\"1\"}}":                                                   {"a\xff", "1"},
		"{\"\uFFFD\":[\"1\",{\"name\":{\"base64\":\"/w==\"},\"value\":{\"base64\":\"/g==\"}}]}":                            {"\uFFFD", "1", "\xff", "\xfe"},
		"{\"\uFFFD\":[{\"name\":{\"base64\":\"/w==\"},\"value\":\"1\"},{\"name\":{\"base64\":\"/g==\"},\"value\":\"2\"}]}": {"\xff", "1", "\xfe", "2"},
	} {
		if got := string(FieldsJSON(fields)); got != want {
			t.Errorf("%q: got %s, want %s", fields, got, want)
		}
	}
}

// told reads what FieldsJSON wrote: names and values, as far as they are apart.
func told(t *testing.T, raw []byte) (pairs []string) {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	text := func(v any) string {
		if b, ok := v.(map[string]any); ok {
			raw, err := base64.StdEncoding.DecodeString(b["base64"].(string))
			if err != nil {
				t.Errorf("%v: %v", b, err)
			}
			return string(raw)
		}
		return v.(string)
	}
	for name, value := range object {
		all, several := value.([]any)
		if !several {
			all = []any{value}
		}
		for _, v := range all {
			if n, ok := v.(map[string]any); ok && n["name"] != nil {
				pairs = append(pairs, fmt.Sprintf("%q=%q", text(n["name"]), text(n["value"])))
				continue
			}
			pairs = append(pairs, fmt.Sprintf("%q=%q", name, text(v)))
		}
	}
	slices.Sort(pairs)
	return pairs
}

func FuzzFieldsAsJSONLoseNothing(f *testing.F) {
	f.Add([]byte("a\n\xff\x00\na\nx"))
	f.Add([]byte("\xff\n1\n\xfe\n2\n\uFFFD\n{\"base64\":\"\"}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		words := bytes.Split(raw, []byte("\n"))
		var fields []any
		var want []string
		for i := 0; i+1 < len(words); i += 2 {
			fields = append(fields, string(words[i]), string(words[i+1]))
			want = append(want, fmt.Sprintf("%q=%q", words[i], words[i+1]))
		}
		slices.Sort(want)
		if got := told(t, FieldsJSON(fields)); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
