// Package settings holds what the settings of several adapters share.
package settings

import (
	"net"
	"strconv"
	"time"

	"github.com/dualstream/dualstream/durable"
)

// Blamed is an error that one setting causes.
type Blamed struct {
	Setting string // key within the section of the backend
	Err     error
}

// Error is that of Err.
func (e *Blamed) Error() string { return e.Err.Error() }

// Unwrap is Err.
func (e *Blamed) Unwrap() error { return e.Err }

// Address refuses what is not host:port.
func Address(key, value string) error {
	if _, port, err := net.SplitHostPort(value); err != nil || port == "" {
		return durable.Invalid(key, value, "write host:port")
	}
	return nil
}

// NotNegative refuses a number below 0.
func NotNegative(key string, n int64) error {
	if n < 0 {
		return durable.Invalid(key, strconv.FormatInt(n, 10), "write a number from 1, or remove the key for the default")
	}
	return nil
}

// First is the first of errs that is not nil.
func First(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Duration refuses what is below a millisecond and not 0.
func Duration(key string, d time.Duration) error {
	if d < 0 || d > 0 && d < time.Millisecond {
		return durable.Invalid(key, d.String(), "write at least 1ms, or remove the key for the default")
	}
	return nil
}
