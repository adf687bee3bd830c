package durable

import (
	"strconv"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
)

// MetaUUID is the metadata key that the wire format reserves for the message's UUID.
const MetaUUID = "_watermill_message_uuid"

const (
	maxTopic      = 249 // the limit of Kafka's topic names
	maxGroup      = 249
	nameRemedy    = "use letters, digits, '.', '_' and '-'"
	metaKeyRemedy = "use a non-empty key without control characters"
)

// CheckTopic returns an *InvalidError unless topic is 1 to 249 characters of [A-Za-z0-9._-] and not "." or "..".
func CheckTopic(topic string) error {
	if topic == "" || topic == "." || topic == ".." || len(topic) > maxTopic || !plainName(topic, "._-") {
		return Invalid("topic", topic, nameRemedy+", at most 249 of them")
	}
	return nil
}

// CheckGroup returns an *InvalidError unless g has a usable name and at least one usable topic, each once.
func CheckGroup(g Group) error {
	if g.Name == "" || len(g.Name) > maxGroup || !plainName(g.Name, "._-:") {
		return Invalid("group name", g.Name, nameRemedy+" and ':', at most 249 of them")
	}
	if len(g.Topics) == 0 {
		return Invalid("group topics", "", "name at least one topic")
	}
	seen := make(map[string]bool, len(g.Topics))
	for _, t := range g.Topics {
		if err := CheckTopic(t.Topic); err != nil {
			return err
		}
		if seen[t.Topic] {
			return Invalid("group topics", t.Topic, "name each topic once")
		}
		seen[t.Topic] = true
	}
	return nil
}

// CheckMessage returns an *InvalidError unless every metadata key of msg can be carried by every backend.
func CheckMessage(msg *message.Message) error {
	_, err := checkMessage(msg)
	return err
}

// checkMessage is CheckMessage and Size in one pass.
func checkMessage(msg *message.Message) (size int, err error) {
	if msg == nil {
		return 0, Invalid("message", "nil", "pass a message")
	}
	size = len(msg.UUID) + len(msg.Payload)
	for k, v := range msg.Metadata {
		if k == MetaUUID {
			return 0, Invalid("metadata key", k, "it is reserved for the message's UUID; set Message.UUID")
		}
		if k == "" || hasControl(k) {
			return 0, Invalid("metadata key", k, metaKeyRemedy)
		}
		size += len(k) + len(v)
	}
	return size, nil
}

// CheckAppend checks the arguments of Append before anything is sent; adapters call it first. The error is a
// *BatchError in which the offending message is Rejected and the others are NotSent. maxBytes is the largest
// Size of a message, 0 for no bound.
func CheckAppend(topic string, maxBytes int, msgs []*message.Message) error {
	if err := CheckTopic(topic); err != nil {
		return FailAll(topic, len(msgs), Rejected, err)
	}
	_, err := measure(topic, maxBytes, msgs)
	return err
}

// measure is CheckAppend without the topic, and the sum of the sizes, in one pass.
func measure(topic string, maxBytes int, msgs []*message.Message) (total int, err error) {
	for i, m := range msgs {
		size, err := checkMessage(m)
		if err == nil {
			err = CheckSize(size, maxBytes)
		}
		if err != nil {
			return 0, FailInvalid(topic, len(msgs), i, err)
		}
		total += size
	}
	return total, nil
}

// CheckSize returns an error that matches ErrTooLarge where size exceeds maxBytes, 0 for no bound.
func CheckSize(size, maxBytes int) error {
	if maxBytes > 0 && size > maxBytes {
		return &sizeError{size: size, most: maxBytes}
	}
	return nil
}

// sizeError tells the size and the bound of a message that is too large. It matches ErrTooLarge.
type sizeError struct{ size, most int }

func (e *sizeError) Error() string {
	return "message of " + strconv.Itoa(e.size) + " bytes exceeds the limit of " + strconv.Itoa(e.most) +
		": publish less data or a reference to it, or raise the limit"
}

func (e *sizeError) Is(target error) bool { return target == ErrTooLarge }

func plainName(s, extra string) bool {
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(extra, c) >= 0 {
			continue
		}
		return false
	}
	return true
}

// hasControl looks at eight bytes at a time, as long as they are printable ASCII.
func hasControl(s string) bool {
	for len(s) >= 8 && isPrintable(s) {
		s = s[8:]
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// isPrintable tells whether the first eight bytes of s are printable ASCII: none is over 0x7f, below 0x20, or 0x7f.
func isPrintable(s string) bool {
	const each, high = 0x0101010101010101, 0x8080808080808080
	w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	return (w|(w-0x20*each)|(w+each))&high == 0
}
