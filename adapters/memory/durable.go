package memory

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/adapterkit"
)

// The defaults of Config.
const (
	DefaultPartitions      = 4
	DefaultMaxLen          = 1_000_000
	DefaultMaxBytes        = 256 << 20
	DefaultMaxMessageBytes = 1 << 20
	DefaultDrainTimeout    = 30 * time.Second
)

// Config describes a Backend. Its zero value works.
type Config struct {
	// Store holds the records; backends with one Store see the same topics and groups. Defaults to a new one.
	Store *Store
	// Partitions of a topic that is made by its first use. Defaults to DefaultPartitions.
	Partitions int
	// MaxLen is the number of records that a partition of a topic made by this backend keeps; the oldest are
	// trimmed. Defaults to DefaultMaxLen.
	MaxLen int64
	// MaxBytes bounds a partition in bytes of payload, metadata and a fixed overhead per record; the oldest are
	// trimmed, the newest always stays. Defaults to DefaultMaxBytes.
	MaxBytes int64
	// MaxMessageBytes is the largest durable.Size of a message. Defaults to DefaultMaxMessageBytes.
	MaxMessageBytes int
	// DrainTimeout is how long a claim that moves to another member waits for what was handed out under it.
	// Defaults to DefaultDrainTimeout.
	DrainTimeout time.Duration
	// Logger defaults to slog.Default().
	Logger *slog.Logger
}

// Backend is the embedded durable.Backend: topics of partitions in the memory of this process.
//
// Topics are made by their first use or by CreateTopic. Records are trimmed by count and bytes whether or not a
// group has read them, by Trim only where all groups have, unless it is told otherwise; a group that was overtaken gets
// durable.ErrPositionExpired or jumps, as its OnExpired says.
// Delivery.Attempt counts how often a record was handed out and not released. Retention by age and replication
// are ignored. All methods are safe for concurrent use.
type Backend struct {
	cfg      Config
	store    *Store
	gate     *adapterkit.Gate // of consumers
	log      *slog.Logger
	lateAcks atomic.Int64
	jumps    atomic.Int64
}

var (
	_ durable.Backend       = (*Backend)(nil)
	_ durable.Administrator = (*Backend)(nil)
	_ durable.LagReporter   = (*Backend)(nil)
	_ durable.HealthChecker = (*Backend)(nil)
)

// New returns a backend. The error is a *durable.InvalidError that names the setting.
func New(cfg Config) (*Backend, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("memory: %w", err)
	}
	cfg = cfg.fill()
	return &Backend{
		cfg:   cfg,
		store: cfg.Store,
		gate:  adapterkit.NewGate(),
		log:   cfg.Logger,
	}, nil
}

func (c Config) check() error {
	for name, v := range map[string]int64{
		"Partitions": int64(c.Partitions), "MaxLen": c.MaxLen, "MaxBytes": c.MaxBytes,
		"MaxMessageBytes": int64(c.MaxMessageBytes), "DrainTimeout": int64(c.DrainTimeout),
	} {
		if v < 0 {
			return durable.Invalid(name, fmt.Sprint(v), "use a positive value, or 0 for the default")
		}
	}
	return nil
}

func (c Config) fill() Config {
	if c.Store == nil {
		c.Store = NewStore()
	}
	if c.Partitions == 0 {
		c.Partitions = DefaultPartitions
	}
	if c.MaxLen == 0 {
		c.MaxLen = DefaultMaxLen
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.MaxMessageBytes == 0 {
		c.MaxMessageBytes = DefaultMaxMessageBytes
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Capabilities implements durable.Backend.
func (b *Backend) Capabilities() durable.Capabilities {
	return durable.Capabilities{
		Backend:         "memory",
		Ack:             durable.AckThrough,
		Groups:          true,
		OrderedGroup:    true,
		Replay:          true,
		ReplayFollow:    true,
		StartAtTime:     true,
		DynamicTopics:   true,
		Partitions:      true,
		AttemptCount:    true,
		MaxMessageBytes: b.cfg.MaxMessageBytes,
	}
}

// LateAcks is the number of acks that were ignored because their claim was lost.
func (b *Backend) LateAcks() int64 { return b.lateAcks.Load() }

// Jumps is the number of times that a group went on at the oldest record because its position was trimmed.
func (b *Backend) Jumps() int64 { return b.jumps.Load() }

// Health implements durable.HealthChecker.
func (b *Backend) Health(ctx context.Context) error {
	if err := b.gate.Enter(ctx); err != nil {
		return fmt.Errorf("memory: health: %w", err)
	}
	b.gate.Leave()
	return nil
}

// Close ends the consumers that b opened and the replays that follow. The Store stays.
func (b *Backend) Close(ctx context.Context) error {
	if err := b.gate.Close(ctx); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	return nil
}
