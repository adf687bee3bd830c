package durable

import (
	"log/slog"
	"time"
)

// Defaults of PublisherOptions.
const (
	DefaultPublishInFlight = 10_000
	DefaultPublishBytes    = 64 << 20
	DefaultPublishWait     = time.Second
)

// PublisherOptions configure a Publisher. The zero value takes the defaults; negative values are refused, except
// Wait, where they mean not to wait.
type PublisherOptions struct {
	// MaxInFlight is how many events may be on their way to the backend. Defaults to 10,000.
	MaxInFlight int
	// MaxInFlightBytes is how many bytes (see Size) may be on their way. Defaults to 64 MiB.
	MaxInFlightBytes int
	// Wait is how long an Append waits for room before ErrBackpressure. Defaults to 1 s; negative: not at all.
	Wait time.Duration
	// MaxMessageBytes is the largest Size of a message. Defaults to Capabilities.MaxMessageBytes of the backend.
	MaxMessageBytes int
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

func (o PublisherOptions) filled(caps Capabilities) (PublisherOptions, error) {
	err := firstError(
		notNegative("MaxInFlight", o.MaxInFlight),
		notNegative("MaxInFlightBytes", o.MaxInFlightBytes),
		notNegative("MaxMessageBytes", o.MaxMessageBytes),
	)
	if err != nil {
		return o, err
	}
	o.MaxInFlight = orDefault(o.MaxInFlight, DefaultPublishInFlight)
	o.MaxInFlightBytes = orDefault(o.MaxInFlightBytes, DefaultPublishBytes)
	o.Wait = orDefault(o.Wait, DefaultPublishWait)
	o.MaxMessageBytes = orDefault(o.MaxMessageBytes, caps.MaxMessageBytes)
	o.Logger = orDefault(o.Logger, slog.Default())
	return o, nil
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
