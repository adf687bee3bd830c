package realtime

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// ParseNotification reads what AppendJSON wrote, as it arrived on channel. Unknown fields are ignored, so that
// later versions may add some; names are exact, and null is an absent field. data is not kept.
// What is not such an object, or has no id, is an error.
func ParseNotification(channel string, data []byte) (Notification, error) {
	n := Notification{Channel: channel}
	if !parsePlain(&n, data) {
		n = Notification{Channel: channel}
		if err := parseAny(&n, data); err != nil {
			return Notification{}, fmt.Errorf("notification on %q: %w", channel, err)
		}
	}
	if n.ID == "" {
		return Notification{}, fmt.Errorf("notification on %q: %w", channel, invalid("id", "", "it is required"))
	}
	return n, nil
}

// parsePlain reads an object of plain strings without white space and escapes, which is what is on the wire, with
// one allocation. It returns false for anything else, which may be valid all the same.
func parsePlain(n *Notification, data []byte) bool {
	if len(data) < 2 || bytes.IndexByte(data, '\\') >= 0 || !utf8.Valid(data) {
		return false
	}
	s := string(data)
	if s == "{}" {
		return true
	}
	if s[0] != '{' {
		return false
	}
	for s[0] != '}' {
		name, rest, ok := plainString(s[1:])
		if !ok || rest == "" || rest[0] != ':' {
			return false
		}
		value, rest, ok := plainString(rest[1:])
		if !ok || rest == "" || rest[0] != ',' && rest[0] != '}' {
			return false
		}
		if n.set(name, value) != nil {
			return false
		}
		s = rest
	}
	return len(s) == 1
}

// plainString reads a quoted string of valid text without escapes.
func plainString(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", "", false
	}
	end := strings.IndexByte(s[1:], '"')
	if end < 0 {
		return "", "", false
	}
	value, rest = s[1:1+end], s[2+end:]
	for i := range len(value) {
		if value[i] < 0x20 {
			return "", "", false
		}
	}
	return value, rest, true
}

// parseAny reads any JSON object.
func parseAny(n *Notification, data []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	for name, raw := range fields {
		if !known(name) {
			continue
		}
		var value string
		if err := json.Unmarshal(raw, &value); err != nil {
			return fmt.Errorf("field %q: %w", name, err)
		}
		if err := n.set(name, value); err != nil {
			return fmt.Errorf("field %q: %w", name, err)
		}
	}
	return nil
}

func known(name string) bool {
	var scratch Notification
	return name == "time" || scratch.field(name) != nil
}

// set stores value in the field of that name; unknown names are ignored.
func (n *Notification) set(name, value string) error {
	if name == "time" {
		n.Time = time.Time{}
		if value == "" {
			return nil
		}
		at, err := time.Parse(time.RFC3339Nano, value)
		n.Time = at.UTC()
		return err
	}
	if f := n.field(name); f != nil {
		*f = value
	}
	return nil
}

// field is where the field of that name is kept, nil if there is none.
func (n *Notification) field(name string) *string {
	switch name {
	case "id":
		return &n.ID
	case "type":
		return &n.Type
	case "source_type":
		return &n.SourceType
	case "source_id":
		return &n.SourceID
	case "topic":
		return &n.Topic
	case "position":
		return &n.Position
	case "traceparent":
		return &n.TraceParent
	default:
		return nil
	}
}
