package middleware

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

const maxShort = 256 // bytes of a value in a record that had to be cut

// forms makes an event of a poison topic: as a whole, without the application's metadata, and without its payload.
type forms struct {
	msg *message.Message
	why message.Metadata // what Poison adds
	ref reference
}

// reference stands for a payload that was too large. An event that was never stored has no position.
type reference struct {
	Topic    string `json:"topic"`
	Position string `json:"position,omitempty"`
}

// prepare makes the record of msg, which failed with f.
func (s *poison) prepare(ctx context.Context, msg *message.Message, d durable.Delivery, f *Failure) unsaved {
	origin := originOf(ctx, msg, d)
	why := message.Metadata{
		MetaPoisonReason:     headerText(f.Err.Error(), maxReason),
		MetaPoisonTopic:      origin,
		MetaPoisonHandler:    message.HandlerNameFromCtx(ctx),
		MetaPoisonSubscriber: message.SubscriberNameFromCtx(ctx),
		MetaPoisonClass:      f.Reason,
		MetaPoisonAttempts:   strconv.Itoa(f.Attempts),
		MetaPoisonFirst:      f.First.UTC().Format(time.RFC3339Nano),
		MetaPoisonLast:       f.Last.UTC().Format(time.RFC3339Nano),
		MetaPoisonGroup:      s.groupOf(ctx, d),
	}
	if d.Claim != nil {
		why[MetaPoisonPosition] = string(d.Position)
		why[MetaPoisonPartition] = strconv.Itoa(d.Claim.Partition())
		why[MetaPoisonKey] = headerText(d.Key, maxReason)
		if !d.StoredAt.IsZero() {
			why[MetaPoisonStored] = d.StoredAt.UTC().Format(time.RFC3339Nano)
		}
	}
	if inTier(msg, topicOf(ctx, d)) {
		carryOrigin(why, msg.Metadata)
	}
	topic := s.topicOf(origin)
	forms := &forms{msg: msg, why: why, ref: reference{Topic: origin, Position: why[MetaPoisonPosition]}}
	return unsaved{
		topic: topic,
		forms: []func() *message.Message{forms.whole, forms.bare, forms.reference},
		done: func(ctx context.Context, under bool) error {
			return s.done(ctx, under, msg, origin, topic, f)
		},
	}
}

// originOf is the event's own topic: that of a retry tier is not.
func originOf(ctx context.Context, msg *message.Message, d durable.Delivery) string {
	topic := topicOf(ctx, d)
	if inTier(msg, topic) {
		return msg.Metadata[MetaTierTopic]
	}
	return topic
}

// carryOrigin has the position in the event's own topic, of msg from a retry tier.
func carryOrigin(why, msg message.Metadata) {
	why[MetaPoisonPosition], why[MetaPoisonPartition] = msg[MetaTierPosition], msg[MetaTierPartition]
	if at := msg[MetaTierStored]; at != "" {
		why[MetaPoisonStored] = at
	}
}

// whole has everything that can be carried.
func (f *forms) whole() *message.Message {
	meta := make(message.Metadata, len(f.msg.Metadata)+len(f.why))
	for k, v := range f.msg.Metadata {
		if carried(k) {
			meta[k] = v
		}
	}
	return f.make(meta, f.msg.Payload)
}

// carried tells whether a backend takes a metadata key, and whether it still means something: the stored bytes of what
// cannot be decoded may hold anything.
func carried(key string) bool {
	if strings.HasPrefix(key, "ds-poison-") || strings.HasPrefix(key, "ds-retry-") || key == durable.MetaUUID || key == "" {
		return false
	}
	for i := range len(key) {
		if key[i] < 0x20 || key[i] == 0x7f {
			return false
		}
	}
	return true
}

// bare has the attributes of the event and what Poison adds.
func (f *forms) bare() *message.Message {
	meta := make(message.Metadata, len(f.why)+16)
	for k, v := range f.msg.Metadata {
		if carried(k) && attribute(k) {
			meta[k] = v
		}
	}
	meta[MetaPoisonCut] = cutHeaders
	return f.make(meta, f.msg.Payload)
}

// attribute tells whether key belongs to the event itself, or to its trace.
func attribute(key string) bool {
	switch key {
	case durable.MetaContentType, "traceparent", "tracestate", MetaRedriveLoops, MetaRedriveGroup:
		return true
	}
	return strings.HasPrefix(key, "ce_")
}

// reference has the place of the original instead of the payload, and no long values. The attributes that stood in the
// payload alone are beside it, so that the event can still be found by them.
func (f *forms) reference() *message.Message {
	m := f.bare()
	for k, v := range durable.Attributes(f.msg) {
		if strings.HasPrefix(k, "ce_") && carried(k) {
			m.Metadata[k] = v
		}
	}
	m.Metadata[MetaPoisonCut] = cutPayload
	for k, v := range m.Metadata {
		if len(v) > maxShort && k != durable.MetaPartitionKey && k != MetaPoisonPosition {
			m.Metadata[k] = headerText(v, maxShort)
		}
	}
	m.Payload, _ = json.Marshal(f.ref) // two strings cannot fail
	return m
}

func (f *forms) make(meta message.Metadata, payload []byte) *message.Message {
	maps.Copy(meta, f.why)
	for k, v := range meta {
		if v == "" && strings.HasPrefix(k, "ds-poison-") {
			delete(meta, k)
		}
	}
	if key := f.why[MetaPoisonKey]; key != "" && meta[durable.MetaPartitionKey] == "" {
		meta[durable.MetaPartitionKey] = key
	}
	m := message.NewMessage(f.msg.UUID, payload)
	m.Metadata = meta
	return m
}
