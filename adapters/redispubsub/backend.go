package redispubsub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/realtime"
)

const (
	name                 = "redispubsub"
	defaultNotifyTimeout = time.Second
	defaultProbeIdle     = 10 * time.Second
)

// Connection says how to reach the server.
type Connection = rediskit.Config

// Sentinel says which Redis Sentinels know the address of the server.
type Sentinel = rediskit.Sentinel

// Cluster names nodes of a Redis Cluster.
type Cluster = rediskit.Cluster

// Config describes a Backend.
type Config struct {
	Connection                  // Addr, Sentinel or Cluster is required
	Classic       bool          // on a Cluster: Pub/Sub that every node passes on to all others, with patterns; defaults to sharded
	NotifyTimeout time.Duration // of a pipeline of notifications; defaults to 1 s
	Buffer        int           // notifications that a subscription holds; defaults to 1024
	ProbeIdle     time.Duration // silence before a probe, and the wait for its answer; defaults to 10 s
	Logger        *slog.Logger  // defaults to slog.Default()
}

// Backend is a realtime.Backend on Redis Pub/Sub.
type Backend struct {
	cfg         Config
	writer      rediskit.Sender // of notifications
	listening   rediskit.Client
	stop        chan struct{} // closed when Close begins
	stopped     chan struct{} // closed when everything has ended
	undecodable atomic.Int64
	closeErr    error // written before stopped is closed

	mu     sync.Mutex
	closed bool
	subs   map[member]struct{}
}

// member is a subscription as Close sees it.
type member interface {
	cut()  // makes it end without waiting for it
	wait() // until it has ended
}

var (
	_ realtime.Backend       = (*Backend)(nil)
	_ realtime.HealthChecker = (*Backend)(nil)
)

// Open connects and checks that the server answers. The error names the setting to look at.
func Open(ctx context.Context, cfg Config) (*Backend, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("redispubsub: %w", err)
	}
	if cfg.NotifyTimeout < 0 || cfg.Buffer < 0 || cfg.ProbeIdle < 0 {
		return nil, errors.New(`redispubsub: settings "notify_timeout", "buffer" and "probe_idle": use 0 or more`)
	}
	if cfg.NotifyTimeout == 0 {
		cfg.NotifyTimeout = defaultNotifyTimeout
	}
	if cfg.Buffer == 0 {
		cfg.Buffer = realtime.DefaultInbox
	}
	if cfg.ProbeIdle == 0 {
		cfg.ProbeIdle = defaultProbeIdle
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.Connection = cfg.Ready()
	b := &Backend{
		cfg: cfg, listening: cfg.Client(rediskit.Control),
		stop: make(chan struct{}), stopped: make(chan struct{}),
		subs: map[member]struct{}{},
	}
	if err := cfg.Ping(ctx, name, b.listening); err != nil {
		return nil, errors.Join(err, b.listening.Close())
	}
	if cfg.Clustered() && cfg.Classic {
		b.writer = cfg.NewWriterToAny(cfg.NotifyTimeout) // one, so that order is kept
	} else {
		b.writer = cfg.NewWriter(cfg.NotifyTimeout, nil)
	}
	return b, nil
}

// Capabilities implements realtime.Backend.
func (b *Backend) Capabilities() realtime.Capabilities {
	return realtime.Capabilities{Backend: name, Patterns: !b.sharded(), MaxNotification: realtime.MaxSize}
}

// Health returns nil when the server answers.
func (b *Backend) Health(ctx context.Context) error {
	if b.isClosed() {
		return fmt.Errorf("redispubsub: health: %w", realtime.ErrClosed)
	}
	if err := b.cfg.Ping(ctx, name, b.listening); err != nil {
		return down(err)
	}
	return nil
}

// Undecodable is how many payloads arrived that were no notifications. They are not delivered.
func (b *Backend) Undecodable() int64 { return b.undecodable.Load() }

// Close implements realtime.Backend. Calls of Notify that wait are sent first.
func (b *Backend) Close(ctx context.Context) error {
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	b.mu.Unlock()
	if first {
		close(b.stop)
		go b.end() // bounded by the timeouts of connections; Close waits for it
	}
	select {
	case <-b.stopped:
		return b.closeErr
	case <-ctx.Done():
		return fmt.Errorf("redispubsub: close: %w", ctx.Err())
	}
}

// end stops everything. No subscription is added once b.closed is set.
func (b *Backend) end() {
	b.mu.Lock()
	subs := make([]member, 0, len(b.subs))
	for s := range b.subs {
		subs = append(subs, s)
	}
	b.mu.Unlock()
	for _, s := range subs {
		s.cut()
	}
	for _, s := range subs {
		s.wait()
	}
	b.writer.Close()
	b.closeErr = b.listening.Close()
	close(b.stopped)
}

// sharded tells whether channels are those of sharded Pub/Sub.
func (b *Backend) sharded() bool { return b.cfg.Clustered() && !b.cfg.Classic }

func (b *Backend) isClosed() bool {
	select {
	case <-b.stop:
		return true
	default:
		return false
	}
}
