package middleware

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Metadata of an event in a poison topic. The first four are Watermill's.
const (
	MetaPoisonReason     = "reason_poisoned" // text of the error, at most 1 KiB
	MetaPoisonTopic      = "topic_poisoned"  // the event's own topic
	MetaPoisonHandler    = "handler_poisoned"
	MetaPoisonSubscriber = "subscriber_poisoned"

	MetaPoisonClass     = "ds-poison-class"    // one of the Reasons
	MetaPoisonAttempts  = "ds-poison-attempts" // that counted
	MetaPoisonFirst     = "ds-poison-first"    // time of the first failure in the process that gave up, RFC 3339
	MetaPoisonLast      = "ds-poison-last"     // time of the last one
	MetaPoisonPosition  = "ds-poison-position" // in the event's own topic
	MetaPoisonPartition = "ds-poison-partition"
	MetaPoisonKey       = "ds-poison-key"
	MetaPoisonGroup     = "ds-poison-group"  // in which it failed
	MetaPoisonStored    = "ds-poison-stored" // when the event was stored, RFC 3339
	MetaPoisonCut       = "ds-poison-cut"    // "headers" or "payload" where the event was too large as a whole
)

// Metadata of an event that was redriven.
const (
	MetaRedriveGroup = "ds-redrive-group" // the group that is to handle it; the others skip it
	MetaRedriveTopic = "ds-redrive-topic" // where it was moved to; a handler that passes it on elsewhere passes it on to all
	MetaRedriveLoops = "ds-redrive-loops" // how often it was redriven
)

// Metadata of an event in a retry tier.
const (
	MetaTierTopic     = "ds-retry-topic"     // the event's own topic
	MetaTierName      = "ds-retry-tier"      // the tier's topic; where a handler passed the event on to, the rest means nothing
	MetaTierPosition  = "ds-retry-position"  // in it
	MetaTierPartition = "ds-retry-partition" // of it
	MetaTierStored    = "ds-retry-stored"    // when the event was stored, RFC 3339
	MetaTierGroup     = "ds-retry-group"     // in which it is to be tried again
	MetaTierDue       = "ds-retry-due"       // not before, RFC 3339
	MetaTierLevel     = "ds-retry-level"     // which tier, from 1
	MetaTierAttempts  = "ds-retry-attempts"  // so far, in all tiers
	MetaTierFirst     = "ds-retry-first"     // time of the first failure, RFC 3339
)

const (
	cutHeaders = "headers"
	cutPayload = "payload"

	maxReason = 1 << 10 // bytes of an error's text in metadata
)

// headerText is s as a header can carry it everywhere: valid UTF-8 without control characters, at most most bytes.
func headerText(s string, most int) string {
	cut := len(s) > most
	if cut {
		s = s[:most]
		for len(s) > 0 && len(s) > most-utf8.UTFMax && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		if last, _ := utf8.DecodeLastRuneInString(s); last == utf8.RuneError && len(s) > 0 {
			s = s[:len(s)-1]
		}
	}
	s = strings.ToValidUTF8(s, "?")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	return s
}

// forOthers tells whether msg was redriven to topic for another group than group, which has handled it already.
func forOthers(msg *message.Message, group, topic string) bool {
	wanted := msg.Metadata[MetaRedriveGroup]
	return wanted != "" && group != "" && wanted != group && meant(msg.Metadata[MetaRedriveTopic], topic)
}

// inTier tells whether msg, which is in topic, is there as in a retry tier.
func inTier(msg *message.Message, topic string) bool {
	return msg.Metadata[MetaTierTopic] != "" && meant(msg.Metadata[MetaTierName], topic)
}

// meant tells whether metadata that were written for a topic are in it, and were not passed on elsewhere by a handler
// that produces what it was given. Without the one or the other nobody knows.
func meant(noted, topic string) bool { return noted == "" || topic == "" || noted == topic }

// deliveryOf is what is known about the message of ctx, and whether durable.Process sees the error of its handler and
// schedules by it.
func deliveryOf(ctx context.Context) (d durable.Delivery, under bool) {
	d, _ = durable.DeliveryOf(ctx)
	return d, durable.Scheduled(ctx)
}

// topicOf is the topic that an event comes from, "" where nothing tells.
func topicOf(ctx context.Context, d durable.Delivery) string {
	if d.Topic != "" {
		return d.Topic
	}
	return message.SubscribeTopicFromCtx(ctx)
}
