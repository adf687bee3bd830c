package realtime

import "context"

// Backend is a real-time bus: the contract that an adapter implements and realtimetest checks.
//
// Its methods are safe for concurrent use. After Close every method returns [ErrClosed].
type Backend interface {
	// Notify broadcasts ns, those of a channel in order, to whoever listens now, and returns when the
	// broker took them or ctx is done. An invalid notification is an *[InvalidError] and nothing is sent. It
	// neither changes nor keeps ns and does not retry: after an error some of ns may have been broadcast.
	Notify(ctx context.Context, ns ...Notification) error

	// Subscribe listens to channels: exact names, and what was marked by [Pattern] (its language is that of
	// [Match]) where Capabilities.Patterns says so; wildcards in an unmarked string are plain characters.
	// It returns once the broker has confirmed, so that a later Notify is not missed. A notification is
	// yielded once, also where several of channels select it. ctx bounds the call, not the subscription.
	Subscribe(ctx context.Context, channels ...string) (Subscription, error)

	// Capabilities tells what this backend can do; it is constant for its life.
	Capabilities() Capabilities

	// Close ends every subscription and closes what the backend opened, nothing else. It is idempotent and
	// bounded by ctx.
	Close(ctx context.Context) error
}

// Subscription yields what is broadcast on its channels. One goroutine calls Next; the other methods may be
// called from any.
type Subscription interface {
	// Next blocks until there is a notification or a gap. The error is ctx's, or ErrClosed after Close.
	// A broken connection is not an error: it is repaired, and the repair is a gap.
	Next(ctx context.Context) (Signal, error)

	// Add and Remove change the channels while the subscription runs. Both return once the broker has
	// confirmed. What is added twice is there once; what is removed must not be there. After an error the
	// channels of the call may be in either state.
	Add(ctx context.Context, channels ...string) error
	Remove(ctx context.Context, channels ...string) error

	// Close ends the subscription and unblocks Next. It is idempotent.
	Close() error
}

// Signal is what a Subscription yields: a notification, or a gap where Gap is not GapNone.
type Signal struct {
	Notification Notification
	// Gap says that notifications may have been missed just before this signal, and why.
	Gap GapReason
	// Missed is how many were dropped where that is known, 0 where it is not.
	Missed int
}

// GapReason says why notifications may have been missed.
type GapReason int

// The reasons for a gap.
const (
	// GapNone: the signal is a notification.
	GapNone GapReason = iota
	// GapReconnect: the connection broke and was made again.
	GapReconnect
	// GapOverflow: the subscriber was too slow and its buffer was full.
	GapOverflow
	// GapSilence: the connection did not answer a probe in time and was made again.
	GapSilence
)

// String is the reason in lower case.
func (g GapReason) String() string {
	switch g {
	case GapReconnect:
		return "reconnect"
	case GapOverflow:
		return "overflow"
	case GapSilence:
		return "silence"
	default:
		return "none"
	}
}

// Capabilities tells what a backend can do.
type Capabilities struct {
	Backend         string // short name for logs and metric labels, such as "redispubsub"
	Patterns        bool   // Subscribe takes patterns; else they are ErrUnsupported
	MaxNotification int    // largest encoded notification in bytes, 0 where unknown
}

// HealthChecker is an optional ability of a Backend.
type HealthChecker interface {
	// Health returns nil when the broker takes notifications, else the reason in words.
	Health(ctx context.Context) error
}
