package durable

import (
	"context"
	"log/slog"
	"strconv"
	"time"
)

// Defaults of ProcessOptions.
const (
	DefaultConcurrency  = 16
	DefaultMaxInFlight  = 4096
	DefaultMaxBytes     = 64 << 20
	DefaultFetchSize    = 512
	DefaultAckBatch     = 512
	DefaultAckInterval  = 10 * time.Millisecond
	DefaultDrainTimeout = 30 * time.Second
	DefaultStallAfter   = 10 * time.Second
)

// ProcessOptions configure Process. The zero value takes the defaults; negative values are refused.
type ProcessOptions struct {
	// Concurrency is how many handlers run side by side. Defaults to 16.
	Concurrency int
	// MaxInFlight is how many deliveries are held: fetched and not yet acknowledged. Defaults to 4096. It is what
	// a crash redelivers at most, and how far other keys run ahead of a slow one under AckThrough.
	MaxInFlight int
	// MaxInFlightBytes is how many bytes (see Size) are held. Defaults to 64 MiB. The last fetch before the bound
	// may exceed it, because sizes are known only then: by one message where all are of similar size.
	MaxInFlightBytes int
	// FetchSize is how many deliveries one Fetch asks for at most. Defaults to 512.
	FetchSize int
	// AckBatch is how many finished deliveries are acknowledged at once: at most a quarter of MaxInFlight.
	// Defaults to 512.
	AckBatch int
	// AckInterval is how long a finished delivery waits for its batch at most. Defaults to 10 ms. An engine that
	// has nothing to do acknowledges at once.
	AckInterval time.Duration
	// DrainTimeout is how long handlers may go on at shutdown before their contexts end. Defaults to 30 s.
	DrainTimeout time.Duration
	// StallAfter is how long the oldest delivery of a window that is full, or nearly, is held before it is logged and
	// counted as the one that keeps others waiting; see Stall. Defaults to 10 s.
	StallAfter time.Duration
	// Backoff is the delay after attempt (from 1) failed with err, where err is not a RetryAfter. Defaults to
	// DefaultBackoff. It is called from many goroutines.
	Backoff func(attempt int, err error) time.Duration
	// Undecodable handles deliveries with a DecodeErr instead of the handler. Defaults to the handler.
	Undecodable func(ctx context.Context, d Delivery) error
	// Monitor, where there is one, tells what Process does. Defaults to none.
	Monitor *Monitor
	// OnAttempt, where there is one, is called after every attempt with its duration and its error, outside of locks
	// and from many goroutines; it must not block. d is what DeliveryOf gives. Defaults to none.
	OnAttempt func(d Delivery, took time.Duration, err error)
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

func (o ProcessOptions) filled() (ProcessOptions, error) {
	err := firstError(
		notNegative("Concurrency", o.Concurrency),
		notNegative("MaxInFlight", o.MaxInFlight),
		notNegative("MaxInFlightBytes", o.MaxInFlightBytes),
		notNegative("FetchSize", o.FetchSize),
		notNegative("AckBatch", o.AckBatch),
		notNegative("AckInterval", o.AckInterval),
		notNegative("DrainTimeout", o.DrainTimeout),
		notNegative("StallAfter", o.StallAfter),
	)
	if err != nil {
		return o, err
	}
	o.Concurrency = orDefault(o.Concurrency, DefaultConcurrency)
	o.MaxInFlight = orDefault(o.MaxInFlight, DefaultMaxInFlight)
	o.MaxInFlightBytes = orDefault(o.MaxInFlightBytes, DefaultMaxBytes)
	o.FetchSize = orDefault(o.FetchSize, DefaultFetchSize)
	o.AckBatch = orDefault(o.AckBatch, DefaultAckBatch)
	o.AckBatch = max(1, min(o.AckBatch, o.MaxInFlight/4))
	o.AckInterval = orDefault(o.AckInterval, DefaultAckInterval)
	o.DrainTimeout = orDefault(o.DrainTimeout, DefaultDrainTimeout)
	o.StallAfter = orDefault(o.StallAfter, DefaultStallAfter)
	if o.Backoff == nil {
		o.Backoff = DefaultBackoff
	}
	o.Logger = orDefault(o.Logger, slog.Default())
	return o, nil
}

func notNegative[T int | time.Duration](field string, v T) error {
	if v < 0 {
		return Invalid(field, strconv.FormatInt(int64(v), 10), "use a positive value, or 0 for the default")
	}
	return nil
}
