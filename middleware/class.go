package middleware

import (
	"context"
	"errors"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// Class is what a policy makes of an error.
type Class int

// The classes of errors.
const (
	// ClassRetryable: the same event may succeed later. What no other class claims.
	ClassRetryable Class = iota
	// ClassPermanent: the same event will fail again. It is not tried again.
	ClassPermanent
	// ClassSkip: the event is of no interest. It is acknowledged.
	ClassSkip
	// ClassBusy: nothing failed; it is not the time. Tried again, never counted and never poisoned: an open
	// breaker, a reservation of another member, a context that was cancelled.
	ClassBusy
)

// String is the class in lower case.
func (c Class) String() string {
	switch c {
	case ClassPermanent:
		return "permanent"
	case ClassSkip:
		return "skip"
	case ClassBusy:
		return "busy"
	default:
		return "retryable"
	}
}

// classified is an error with its class.
type classified struct {
	err   error
	class Class
}

func (e *classified) Error() string { return e.err.Error() }
func (e *classified) Unwrap() error { return e.err }

// Permanent marks err as one that will come again with the same event. A nil err stays nil.
func Permanent(err error) error { return classify(err, ClassPermanent) }

// Skip marks err as a reason to acknowledge the event without doing anything. Joined with an error that is not marked so
// it skips nothing. A nil err stays nil.
func Skip(err error) error { return classify(err, ClassSkip) }

// Busy marks err as no failure of the event, to be tried again after d: it is durable.Release with a delay. A nil err
// stays nil.
func Busy(err error, d time.Duration) error { return durable.Release(durable.RetryAfter(err, d)) }

// After is durable.RetryAfter: a failure that asks for the next attempt after d. A nil err stays nil.
func After(err error, d time.Duration) error { return durable.RetryAfter(err, d) }

func classify(err error, c Class) error {
	if err == nil {
		return nil
	}
	return &classified{err: err, class: c}
}

// ClassOf is the class of err: busy for durable.Release and ErrBusy; permanent for a *Failure; what the outermost
// Permanent or Skip in its chain says, where of errors that were joined (errors.Join) one Permanent counts, and Skip if
// all say so; permanent for durable.ErrUndecodable; busy for context.Canceled, but for that of a *TimeoutError or a
// *durable.PanicError; else retryable, which context.DeadlineExceeded is too: a policy asks the context of the message
// whether it was the one that ended.
func ClassOf(err error) Class {
	if durable.VerbOf(err) == durable.VerbRelease || errors.Is(err, ErrBusy) {
		return ClassBusy
	}
	var f *Failure
	if errors.As(err, &f) {
		return ClassPermanent
	}
	if c := marked(err); c != ClassRetryable {
		return c
	}
	switch {
	case errors.Is(err, durable.ErrUndecodable):
		return ClassPermanent
	case cancelled(err):
		return ClassBusy
	default:
		return ClassRetryable
	}
}

// marked is what Permanent and Skip say about err; ClassRetryable: nothing.
func marked(err error) Class {
	for err != nil {
		switch e := err.(type) { //nolint:errorlint // it walks the chain itself, because errors.As takes the first of joined errors
		case *classified:
			return e.class
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			return markedAll(e.Unwrap())
		default:
			return ClassRetryable
		}
	}
	return ClassRetryable
}

// markedAll is marked of errors that were joined: what one of them would skip is not done while another has failed.
func markedAll(errs []error) Class {
	all := ClassSkip
	for _, err := range errs {
		switch marked(err) {
		case ClassPermanent:
			return ClassPermanent
		case ClassSkip:
		default:
			all = ClassRetryable
		}
	}
	return all
}

// cancelled tells whether err is nothing but the end of a context, by whoever ended it.
func cancelled(err error) bool {
	var panicked *durable.PanicError
	var late *TimeoutError
	return errors.Is(err, context.Canceled) && !errors.As(err, &late) && !errors.As(err, &panicked)
}

// Reasons are the reasons for which an event ends in a poison topic, as its metadata names them.
const (
	ReasonPermanent   = "permanent"   // the handler said so
	ReasonExhausted   = "exhausted"   // every attempt failed
	ReasonPanic       = "panic"       // the last attempt panicked
	ReasonTimeout     = "timeout"     // the last attempt ran into its Timeout
	ReasonUndecodable = "undecodable" // the stored bytes are not a message
	ReasonRejected    = "rejected"    // the broker refused to store it
	ReasonFailed      = "failed"      // the handler failed and nothing tries again
)

// Failure is the last word on an event: it was permanent, or its attempts are used up. A poison queue outside takes
// it; without one, durable.Process goes on trying at its own pace.
type Failure struct {
	Err      error     // of the last attempt
	Reason   string    // ReasonPermanent, ReasonExhausted, ReasonPanic or ReasonTimeout
	Attempts int       // that counted
	First    time.Time // of the first failure in this process
	Last     time.Time // of the last one
}

// Error implements error.
func (f *Failure) Error() string { return f.Reason + ": " + f.Err.Error() }

// Unwrap is the error of the last attempt.
func (f *Failure) Unwrap() error { return f.Err }

// reasonOf refines why a failure of the given class is the last.
func reasonOf(err error, class Class) string {
	var panicked *durable.PanicError
	var late *TimeoutError
	switch {
	case errors.As(err, &panicked):
		return ReasonPanic
	case errors.Is(err, durable.ErrUndecodable):
		return ReasonUndecodable
	case class == ClassPermanent:
		return ReasonPermanent
	case errors.As(err, &late):
		return ReasonTimeout
	default:
		return ReasonExhausted
	}
}
