package middleware

import (
	"context"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// DedupeStore remembers in two phases which events a group has handled; package dedupetest checks an implementation.
//
// Both methods take a batch, which a store sends in one round trip. They are safe for concurrent use, do not keep the
// slice after they returned, and end within a bound of the store's own also where ctx has none. An error says nothing
// about single elements: each may have been carried out.
type DedupeStore interface {
	// Reserve asks for the right to handle each key of rs and sets its State. Where DedupeReserved, the key belongs to
	// Token until Settle or until Lease is over. A Token that holds its key already extends the lease.
	// With several elements of one key the first wins.
	Reserve(ctx context.Context, rs []Reservation) error

	// Settle ends reservations. Keep > 0 remembers the key as handled for that long, whoever holds it by now: what was
	// handled stays handled. Keep 0 gives the key up where Token still holds it, and else does nothing.
	Settle(ctx context.Context, ss []Settlement) error
}

// Reservation asks for the right to handle the event of a key.
type Reservation struct {
	Key   string        // not empty
	Token uint64        // of who asks: no two attempts at one key share it
	Lease time.Duration // how long it holds without being extended; at least 1 ms
	State DedupeState   // set by Reserve
}

// Settlement ends a Reservation.
type Settlement struct {
	Key   string
	Token uint64
	Keep  time.Duration // > 0: handled, remembered that long (at least 1 ms); 0: given up
}

// DedupeState is what a store knows about a key.
type DedupeState uint8

// The states.
const (
	// DedupeReserved: the key is reserved for who asked.
	DedupeReserved DedupeState = iota
	// DedupeBusy: somebody else holds the reservation.
	DedupeBusy
	// DedupeHandled: the event was handled.
	DedupeHandled
)

// String is the state in lower case.
func (s DedupeState) String() string {
	switch s {
	case DedupeReserved:
		return "reserved"
	case DedupeBusy:
		return "busy"
	default:
		return "handled"
	}
}

// dedupeSeparator stands between the parts of a key: a control character, which none of them can hold.
const dedupeSeparator = "\x1f"

// DedupeKey names an event within a group: its source (type and id) and its id, or the UUID of a message that is no
// CloudEvent. It is "" for a message that has neither, which is never taken for a duplicate.
func DedupeKey(msg *message.Message) string {
	m := durable.Attributes(msg)
	id := m[durable.MetaID]
	if id == "" {
		return msg.UUID
	}
	return strings.TrimPrefix(m[durable.MetaSource], "/") + dedupeSeparator + m[durable.MetaSubject] + dedupeSeparator + id
}
