package durable

import (
	"errors"
	"fmt"
	"strings"
)

// Sentinels for decisions; use errors.Is.
var (
	// ErrClosed: the backend, publisher or consumer was closed.
	ErrClosed = errors.New("closed")
	// ErrBackpressure: a bound on what is in flight was reached and did not fall in time. Nothing was stored.
	ErrBackpressure = errors.New("backpressure: too much in flight")
	// ErrUnsupported: the backend cannot do what was asked; see Capabilities.
	ErrUnsupported = errors.New("unsupported")
	// ErrPositionExpired: the position was trimmed or belongs to another incarnation of the topic.
	ErrPositionExpired = errors.New("position is no longer stored")
	// ErrInvalid: an argument is not acceptable; errors.As finds the *InvalidError.
	ErrInvalid = errors.New("invalid")
	// ErrTooLarge: the message exceeds what the broker or the configuration allows.
	ErrTooLarge = errors.New("message too large")
	// ErrTopicNotFound: the topic does not exist and the backend does not create it.
	ErrTopicNotFound = errors.New("topic not found")
	// ErrTopicExists: the topic exists with another shape.
	ErrTopicExists = errors.New("topic exists")
	// ErrGroupActive: the group has members that consume; they must leave first.
	ErrGroupActive = errors.New("group has active members")
	// ErrUnavailable: the broker cannot be reached or cannot serve now; the same call may succeed later.
	ErrUnavailable = errors.New("broker unavailable")
	// ErrDenied: the broker refuses this user the operation: a right is missing, or the password is not the user's any
	// more. Retrying does not help until an administrator acts. It is never ErrUnavailable as well. An append that was
	// refused so has stored nothing: its messages are Rejected, or NotSent where the user was not let in, and there is
	// nothing wrong with them. A member that is refused what it reads says so by Fetch, keeps asking, and goes on when
	// it is granted.
	ErrDenied = errors.New("access denied")
	// ErrAtRisk: the broker serves, but by its settings it can lose what it has acknowledged.
	ErrAtRisk = errors.New("acknowledged events may be lost")
	// ErrFenced: ownership was lost to another member.
	ErrFenced = errors.New("fenced: no longer the owner")
)

// InvalidError names an argument that is not acceptable and the remedy. It matches ErrInvalid.
type InvalidError struct {
	Field  string // such as "SourceID" or "topic"
	Value  string // the offending value, shortened
	Remedy string // what would be accepted
}

// Invalid returns an InvalidError whose value is cut to 64 bytes.
func Invalid(field, value, remedy string) *InvalidError {
	const most = 64
	if len(value) > most {
		value = strings.ToValidUTF8(value[:most], "") + "…"
	}
	return &InvalidError{Field: field, Value: value, Remedy: remedy}
}

// Error implements error.
func (e *InvalidError) Error() string {
	return fmt.Sprintf("invalid %s %q: %s", e.Field, e.Value, e.Remedy)
}

// Is makes errors.Is(err, ErrInvalid) true.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Status is what is known about one message of an append that failed.
type Status int

// The states of a message after a failed append.
const (
	// Stored: acknowledged by the backend.
	Stored Status = iota
	// Rejected: refused; sending it again unchanged will fail again. Not stored.
	Rejected
	// NotSent: never reached the broker. Not stored.
	NotSent
	// Unknown: the broker may have stored it; its event id makes a retry safe.
	Unknown
)

// String is the state in lower case.
func (s Status) String() string {
	switch s {
	case Stored:
		return "stored"
	case Rejected:
		return "rejected"
	case NotSent:
		return "not sent"
	case Unknown:
		return "unknown"
	default:
		return fmt.Sprintf("Status(%d)", int(s))
	}
}

// Outcome is the result of one message of a failed append.
type Outcome struct {
	Status Status
	// Err is the reason, nil where Stored.
	Err error
	// AfterGap: stored although an earlier message of the same key in the call was not.
	AfterGap bool
}

// BatchError is the error of an Append that did not store every message: one Outcome per message, by index.
type BatchError struct {
	Topic    string
	Outcomes []Outcome
}

// FailAll is a BatchError in which each of n messages has the status and the error.
func FailAll(topic string, n int, status Status, err error) *BatchError {
	out := make([]Outcome, n)
	for i := range out {
		out[i] = Outcome{Status: status, Err: err}
	}
	return &BatchError{Topic: topic, Outcomes: out}
}

// FailInvalid is the BatchError of a batch of n in which message i was refused before anything was sent:
// i is Rejected with err, the others are NotSent.
func FailInvalid(topic string, n, i int, err error) *BatchError {
	b := FailAll(topic, n, NotSent, fmt.Errorf("message %d of the batch: %w", i, err))
	b.Outcomes[i] = Outcome{Status: Rejected, Err: err}
	return b
}

// Error implements error: the count of failures and the first reason.
func (e *BatchError) Error() string {
	failed, first := 0, -1
	for i, o := range e.Outcomes {
		if o.Status == Stored {
			continue
		}
		failed++
		if first < 0 || (o.Status == Rejected && e.Outcomes[first].Status != Rejected) {
			first = i
		}
	}
	if first < 0 {
		return fmt.Sprintf("append to %q: order broken", e.Topic)
	}
	o := e.Outcomes[first]
	return fmt.Sprintf("append to %q: %d of %d not stored, message %d %s: %v",
		e.Topic, failed, len(e.Outcomes), first, o.Status, o.Err)
}

// Unwrap gives the reasons to errors.Is and errors.As.
func (e *BatchError) Unwrap() []error {
	errs := make([]error, 0, len(e.Outcomes))
	for _, o := range e.Outcomes {
		if o.Err != nil {
			errs = append(errs, o.Err)
		}
	}
	return errs
}
