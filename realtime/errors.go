package realtime

import (
	"errors"
	"fmt"
	"strings"
)

// Sentinels for decisions; use errors.Is.
var (
	// ErrClosed: the backend, subscription or dispatcher was closed.
	ErrClosed = errors.New("closed")
	// ErrUnsupported: the backend cannot do what was asked; see Capabilities.
	ErrUnsupported = errors.New("unsupported")
	// ErrInvalid: an argument is not acceptable; errors.As finds the *InvalidError.
	ErrInvalid = errors.New("invalid")
	// ErrUnavailable: the broker cannot be reached or cannot serve now.
	ErrUnavailable = errors.New("broker unavailable")
	// ErrDenied: the broker refuses this user the operation: a right is missing, or the password is not the user's any
	// more. Retrying does not help until an administrator acts. It is never ErrUnavailable as well.
	ErrDenied = errors.New("access denied")
)

// InvalidError names an argument that is not acceptable and the remedy. It matches ErrInvalid.
type InvalidError struct {
	Field, Value, Remedy string
}

// Error implements error.
func (e *InvalidError) Error() string {
	return fmt.Sprintf("invalid %s %q: %s", e.Field, e.Value, e.Remedy)
}

// Is makes errors.Is(err, ErrInvalid) true.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// invalid returns an InvalidError whose value is cut to 64 bytes.
func invalid(field, value, remedy string) *InvalidError {
	const most = 64
	if len(value) > most {
		value = strings.ToValidUTF8(value[:most], "") + "…"
	}
	return &InvalidError{Field: field, Value: value, Remedy: remedy}
}

// unsupportedError names what a backend cannot do. It matches ErrUnsupported.
type unsupportedError struct{ backend, what string }

func (e *unsupportedError) Error() string { return e.backend + ": " + e.what + ": unsupported" }

func (e *unsupportedError) Is(target error) bool { return target == ErrUnsupported }
