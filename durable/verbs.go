package durable

import (
	"errors"
	"time"
)

// ErrUndecodable says that a message is not what its handler reads. Trying it again unchanged fails again.
var ErrUndecodable = errors.New("undecodable")

// Verb is what a handler's error asks Process to do with the delivery. A policy around a handler passes errors with
// another verb than VerbRetry on as they are: they are no failures of the event.
type Verb int

// The verbs.
const (
	VerbRetry   Verb = iota // try again after a delay: every error without a verb
	VerbPark                // see Park
	VerbRelease             // see Release
	VerbStop                // see Stop
)

// String is the verb in lower case.
func (v Verb) String() string {
	switch v {
	case VerbPark:
		return "park"
	case VerbRelease:
		return "release"
	case VerbStop:
		return "stop"
	default:
		return "retry"
	}
}

// verbError is an error with a verb.
type verbError struct {
	err  error
	verb Verb
}

func (e *verbError) Error() string { return e.err.Error() }
func (e *verbError) Unwrap() error { return e.err }

// VerbOf is the outermost verb in err's chain, VerbRetry where there is none. What was given to panic has none.
func VerbOf(err error) Verb {
	var v, inside *verbError
	if !errors.As(err, &v) {
		return VerbRetry
	}
	var p *PanicError
	if errors.As(err, &p) && errors.As(p.Unwrap(), &inside) && inside == v {
		return VerbRetry
	}
	return v.verb
}

// Park returns err as a handler's error that asks Process to set the delivery's key aside: the delivery is not tried
// again, and neither it nor later ones of its key are handled or acknowledged until the claim ends. They are then
// given back, so that the next owner (this member, when it joins again) starts with the delivery that was parked. A
// delivery without a key is parked alone. Other keys go on.
//
// What is parked takes no worker, but its place in flight: when parked deliveries and those behind them fill
// MaxInFlight or MaxInFlightBytes, nothing more is fetched. Under AckThrough (Kafka, ordered Redis Streams) what was
// handled after a parked delivery of the same partition cannot be acknowledged and fills the window too, and is
// handled again by the next owner. A nil err stays nil.
func Park(err error) error { return withVerb(err, VerbPark) }

// Release returns err as a handler's error that gives the delivery back unacknowledged without having failed, such as
// at a shutdown: Attempt is not counted, and nothing is logged. Where the claim is draining or Process is ending, the
// backend gets it back, with what waits behind it. A claim that is held keeps it, and its key waits: it is tried again
// with the same Attempt after the delay of a RetryAfter in err's chain, else of ProcessOptions.Backoff. A nil err stays
// nil.
func Release(err error) error { return withVerb(err, VerbRelease) }

// Stop returns err as a handler's error that ends Process in an orderly drain, as the end of its context does, and with
// err as its error (the first one, where several ask). The delivery is given back unacknowledged. A nil err stays nil.
func Stop(err error) error { return withVerb(err, VerbStop) }

func withVerb(err error, v Verb) error {
	if err == nil {
		return nil
	}
	return &verbError{err: err, verb: v}
}

// Undecodable returns err as one that matches ErrUndecodable, for handlers that read the payload and for policies that
// do not try such a message again. A nil err stays nil.
func Undecodable(err error) error {
	if err == nil {
		return nil
	}
	return &undecodable{err: err}
}

type undecodable struct{ err error }

func (e *undecodable) Error() string        { return "undecodable: " + e.err.Error() }
func (e *undecodable) Unwrap() error        { return e.err }
func (e *undecodable) Is(target error) bool { return target == ErrUndecodable }

// retryAfter is an error with its own delay.
type retryAfter struct {
	err   error
	delay time.Duration
}

func (e *retryAfter) Error() string { return e.err.Error() }
func (e *retryAfter) Unwrap() error { return e.err }

// RetryAfter returns err as a handler's error that asks for the next attempt after d (at once if d is not
// positive) instead of the delay that ProcessOptions.Backoff would give. A nil err stays nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &retryAfter{err: err, delay: max(d, 0)}
}

// RetryDelay is the delay that the outermost RetryAfter in err's chain asks for.
func RetryDelay(err error) (time.Duration, bool) {
	var r *retryAfter
	if !errors.As(err, &r) {
		return 0, false
	}
	return r.delay, true
}
