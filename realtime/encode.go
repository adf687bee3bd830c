package realtime

import (
	"strings"
	"time"
	"unicode/utf8"
)

// AppendJSON appends n to dst as one flat JSON object, {"id","type","source_type","source_id","time","topic",
// "position","traceparent"}, without the fields that are empty, and returns the longer slice. The time is RFC
// 3339 in UTC with nanoseconds. Nothing is allocated where dst has room. Bytes that are not UTF-8 become U+FFFD.
func (n *Notification) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, n.ID)
	dst = appendField(dst, `,"type":`, n.Type)
	dst = appendField(dst, `,"source_type":`, n.SourceType)
	dst = appendField(dst, `,"source_id":`, n.SourceID)
	if !n.Time.IsZero() {
		dst = append(dst, `,"time":"`...)
		dst = n.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
		dst = append(dst, '"')
	}
	dst = appendField(dst, `,"topic":`, n.Topic)
	dst = appendField(dst, `,"position":`, n.Position)
	dst = appendField(dst, `,"traceparent":`, n.TraceParent)
	return append(dst, '}')
}

func appendField(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendString(append(dst, name...), value)
}

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	if isPlain(s) && strings.IndexByte(s, '"') < 0 && strings.IndexByte(s, '\\') < 0 {
		dst = append(dst, s...)
		return append(dst, '"')
	}
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, size := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscaped(dst, c)
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// appendEscaped appends a byte that cannot stand in a JSON string as it is.
func appendEscaped(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch {
	case c >= utf8.RuneSelf:
		return append(dst, "\ufffd"...)
	case c < 0x20:
		return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
	default:
		return append(dst, '\\', c)
	}
}
