package realtime

import (
	"strings"
	"unicode/utf8"
)

// MaxChannel is the longest channel or pattern in bytes.
const MaxChannel = 1024

// patternMark is what tells a pattern from an exact channel where both are plain strings.
const patternMark = "pattern:"

// channelPrefix begins the channels of sources.
const channelPrefix = "events:"

// Channel is where notifications of a source are broadcast: "events:{source type}:{source id}". The id stands
// unescaped at the end, so a channel is taken apart from the left.
func Channel(sourceType, sourceID string) string {
	return channelPrefix + sourceType + ":" + sourceID
}

// Channels are the [Channel] of each of n sources. They share one memory, which each of them keeps: for calls with many.
func Channels(n int, source func(i int) (sourceType, sourceID string)) []string {
	size := 0
	for i := range n {
		kind, id := source(i)
		size += len(channelPrefix) + len(kind) + 1 + len(id)
	}
	names := make([]string, n)
	var text strings.Builder
	text.Grow(size)
	for i := range n {
		start := text.Len()
		kind, id := source(i)
		text.WriteString(channelPrefix)
		text.WriteString(kind)
		text.WriteByte(':')
		text.WriteString(id)
		names[i] = text.String()[start:]
	}
	return names
}

// Pattern marks glob as a pattern for Subscribe, Add and Remove; see [Match] for its language. What is not marked
// is an exact channel, whatever characters it holds. Marking twice is marking once.
func Pattern(glob string) string {
	if IsPattern(glob) {
		return glob
	}
	return patternMark + glob
}

// IsPattern tells whether s was made by [Pattern].
func IsPattern(s string) bool { return strings.HasPrefix(s, patternMark) }

// Glob is the glob that [Pattern] was given; ok is false where s is an exact channel.
func Glob(s string) (glob string, ok bool) { return strings.CutPrefix(s, patternMark) }

// Selects tells whether a subscription to s, an exact channel or a marked pattern, yields what is broadcast on
// channel.
func Selects(s, channel string) bool {
	if glob, ok := Glob(s); ok {
		return Match(glob, channel)
	}
	return s == channel
}

// CheckChannel returns an *InvalidError unless channel can be broadcast on: 1 to [MaxChannel] bytes of UTF-8
// without control characters, and not a marked pattern.
func CheckChannel(channel string) error {
	if IsPattern(channel) {
		return invalid("channel", channel, "name an exact channel; one cannot begin with "+patternMark)
	}
	return checkName("channel", channel)
}

// CheckSubscribe checks what Subscribe, Add and Remove are given: exact channels and marked patterns, at least
// one. Patterns are ErrUnsupported where c lacks them. Adapters call it first.
func CheckSubscribe(c Capabilities, channels []string) error {
	if len(channels) == 0 {
		return invalid("channels", "", "name at least one")
	}
	for _, s := range channels {
		glob, pattern := Glob(s)
		if !pattern {
			if err := CheckChannel(s); err != nil {
				return err
			}
			continue
		}
		if err := checkName("pattern", glob); err != nil {
			return err
		}
		if !c.Patterns {
			return &unsupportedError{backend: c.Backend, what: "patterns"}
		}
	}
	return nil
}

func checkName(field, s string) error {
	if s == "" || len(s) > MaxChannel || !isText(s) {
		return invalid(field, s, "use 1 to 1024 bytes of text without control characters")
	}
	return nil
}

// isText tells whether s is UTF-8 without control characters.
func isText(s string) bool {
	if isPlain(s) {
		return true
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s)
}

// isPlain tells whether s is of printable ASCII characters, eight of them at a time.
func isPlain(s string) bool {
	const each, high = 0x0101010101010101, 0x8080808080808080
	for len(s) >= 8 {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if (w|(w-0x20*each)|(w+each))&high != 0 { // a byte over 0x7f, below 0x20, or 0x7f
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
