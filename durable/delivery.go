package durable

import (
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Position names the place of a stored record within its topic. It is opaque text whose form belongs to the
// adapter, such as "3:1042" on Kafka (partition and offset) or "1712-0" on Redis Streams (entry id).
type Position string

// Cursor holds one Position per partition: the last record that was seen there.
type Cursor map[int]Position

// Delivery is a stored record handed to a member of a group.
type Delivery struct {
	// Message carries payload and metadata. Its context is not set by the backend. After Fetch it is the handler's, who
	// may change it at any time: Ack and Release do not look into it. A member that fetches again what it has released
	// may get the same message, as it was left.
	Message *message.Message
	// Topic is the topic that the record is stored in.
	Topic string
	// Position is where it is stored.
	Position Position
	// Group is the group's name in what DeliveryOf and ProcessOptions.Undecodable give; backends leave it empty.
	Group string
	// Claim is the ownership under which it was fetched; never nil.
	Claim *Claim
	// Key orders: deliveries with one key are handled one after the other. "" has no order.
	Key string
	// Size is what the function Size says of Message, where the backend knows it without counting again; 0: it does not.
	Size int
	// Attempt is 1 for the first delivery and counts handler starts as far as the backend can.
	Attempt int
	// StoredAt is the backend's time of storing; zero where it has none.
	StoredAt time.Time
	// DecodeErr says why the stored bytes are not a message of the configured format; the raw bytes are the
	// payload. Such a delivery is acknowledged like any other and never ends a subscription.
	DecodeErr error
}

// Record is a stored record read by Replay.
type Record struct {
	Message   *message.Message
	Topic     string
	Partition int
	Position  Position
	Key       string
	StoredAt  time.Time // zero where the backend has none
	DecodeErr error     // see Delivery.DecodeErr
}

// Size is the number of bytes that msg counts for in bounds of memory: payload, metadata and UUID.
func Size(msg *message.Message) int {
	n := len(msg.UUID) + len(msg.Payload)
	for k, v := range msg.Metadata {
		n += len(k) + len(v)
	}
	return n
}
