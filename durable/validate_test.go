package durable

import (
	"strings"
	"testing"
)

func TestAControlCharacterIsSeenAtAnyPlace(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			s := strings.Repeat("\xff", at%3) + strings.Repeat(" ", at) + string([]byte{byte(c)}) + strings.Repeat("~", 19-at)
			if got, want := hasControl(s), c < 0x20 || c == 0x7f; got != want {
				t.Errorf("hasControl(%q) = %t, want %t", s, got, want)
			}
		}
	}
}
