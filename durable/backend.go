package durable

import (
	"context"
	"iter"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Backend is a durable stream: the contract that an adapter implements and durabletest checks.
//
// Its methods are safe for concurrent use. After Close every method returns [ErrClosed].
type Backend interface {
	// Append stores msgs in topic, in order, and returns when the backend has acknowledged them as durable as
	// it is configured to be, or when ctx is done. It checks every message before it sends any, neither
	// changes nor keeps msgs after it returned, and does not retry beyond its client's own idempotent retries.
	// The ctx of one caller never ends the append of another.
	//
	// It returns one Position per message, "" where the message was not stored or its position is unknown.
	// A nil error means that all are stored and that the order per key was kept. Otherwise errors.As finds a
	// *[BatchError] that tells the outcome of each message. No messages: no positions and no error.
	Append(ctx context.Context, topic string, msgs ...*message.Message) ([]Position, error)

	// Consume joins g as one member. It returns once the group exists with its start positions stored, so that
	// a message appended afterwards is seen even if this member ends before it fetched anything.
	// Asking for what Capabilities lacks is ErrUnsupported. ctx bounds the call, not the membership.
	Consume(ctx context.Context, g Group) (Consumer, error)

	// Replay yields stored records without a group, oldest first within each partition. It ends at the head
	// seen at the call unless r.Follow is set. A start position that was trimmed or belongs to another
	// incarnation of the topic yields ErrPositionExpired, never a silent gap. A pair with an error is the last.
	Replay(ctx context.Context, topic string, r Range) iter.Seq2[Record, error]

	// Capabilities tells what this backend can do; it is constant for its life.
	Capabilities() Capabilities

	// Close waits for calls in flight until ctx is done, ends the consumers it opened and closes what the
	// backend opened, nothing else. It is idempotent.
	Close(ctx context.Context) error
}

// Consumer is one member of a group. One goroutine calls Fetch; the other methods may be called from any.
type Consumer interface {
	// Fetch blocks until there is at least one delivery and returns at most max (1 if max is smaller).
	// Deliveries of one claim come in stored order, and so do those of one key under Ordering PerKey.
	// The caller owns the slice. An error is transient, and Fetch may be called again, unless it is ctx's,
	// ErrClosed, ErrPositionExpired, ErrFenced or ErrUnsupported.
	Fetch(ctx context.Context, max int) ([]Delivery, error)

	// Ack marks deliveries as finished: each of them under AckEach; under AckThrough everything of the claim
	// up to and including each of them, in fetch order. It returns when the consumer has accepted them; the
	// backend may write them later, at the latest in Close. An ack under a claim that was lost is ignored
	// and counted, never an error. Neither Ack nor Release keeps the slice.
	Ack(ctx context.Context, ds ...Delivery) error

	// Release gives deliveries back that were fetched and are not finished: they go to the claim's next owner
	// or, where this member keeps the claim, are fetched again at once. It does not block on the network.
	Release(ds ...Delivery)

	// SetTopics makes ts the topics of this member while it runs: new ones start as their Start says, and the
	// others go on undisturbed. ErrUnsupported where Capabilities.DynamicTopics is false.
	SetTopics(ctx context.Context, ts ...TopicStart) error

	// Close writes outstanding acks, hands over what is not acked and leaves the group. It unblocks Fetch,
	// is idempotent and bounded by ctx.
	Close(ctx context.Context) error
}

// AckMode is how a backend wants deliveries acknowledged.
type AckMode int

// The acknowledgement modes.
const (
	// AckEach acknowledges every delivery by itself, in any order.
	AckEach AckMode = iota
	// AckThrough acknowledges a completed prefix of a claim, in fetch order (never "offset + 1": compaction and
	// control records leave holes).
	AckThrough
)

// Capabilities tells what a backend can do. What is false is refused with [ErrUnsupported] at the call.
type Capabilities struct {
	Backend         string  // short name for logs and metric labels, such as "kafka"
	Ack             AckMode // how Consumer.Ack is to be called
	Groups          bool    // Consume works
	OrderedGroup    bool    // Ordering PerKey holds with any number of members; if false, with one member only or not at all
	Replay          bool    // Replay works
	ReplayFollow    bool    // Range.Follow works
	StartAtTime     bool    // Start by time works for groups and Replay
	DynamicTopics   bool    // Consumer.SetTopics works
	Partitions      bool    // a topic may have more than one partition
	AttemptCount    bool    // Delivery.Attempt survives the death of a member
	MaxMessageBytes int     // largest message that Append can take, 0 where unknown

	// What only backends lack that stand on somebody else's abstraction; see FromWatermill.
	NoPositions bool // Append and deliveries tell "", and Start After does not work
	OldestOnly  bool // a new group starts at the oldest record and nowhere else
	OneByOne    bool // what follows in a partition is fetched after the Ack or Release of what was
}
