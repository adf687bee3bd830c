package realtime

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// eachPlace calls check with every byte and some runes at every place of a text of printable characters.
func eachPlace(check func(s string)) {
	var parts []string
	for c := range 256 {
		parts = append(parts, string([]byte{byte(c)}))
	}
	for _, part := range append(parts, "é", "世", "\U0001f600") {
		for at := range 20 {
			check(strings.Repeat("x", at) + part + strings.Repeat("~", 19-at))
		}
	}
}

func TestTextHasNoControlCharacterAtAnyPlace(t *testing.T) {
	eachPlace(func(s string) {
		ascii := func(r rune) bool { return r < utf8.RuneSelf && unicode.IsControl(r) }
		want := utf8.ValidString(s) && !strings.ContainsFunc(s, ascii)
		if got := isText(s); got != want {
			t.Errorf("isText(%q) = %t, want %t", s, got, want)
		}
	})
}

func TestStringsAreWrittenAsJSON(t *testing.T) {
	eachPlace(func(s string) {
		var got string
		raw := appendString(nil, s)
		if err := json.Unmarshal(raw, &got); err != nil || got != strings.ToValidUTF8(s, "\ufffd") {
			t.Errorf("%q is written as %s: %q, %v", s, raw, got, err)
		}
	})
}
