package testenv

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"
)

// maxTestName bounds the part of a name that comes from the test, in bytes. Kafka allows 249 for a topic.
const maxTestName = 80

// Name returns a name for a topic, group, channel or key prefix that no other test and no other run uses.
// It starts with prefix, says which test made it, and consists of letters, digits and "._-" where prefix does.
func Name(t testing.TB, prefix string) string {
	t.Helper()
	return prefix + "-" + plain(t.Name()) + "-" + randomHex(6)
}

// plain replaces what Kafka refuses in a topic's name.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '_'
	}, s)
	return s[:min(len(s), maxTestName)]
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
