package redisdedupe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

const (
	name               = "redisdedupe"
	defaultPrefix      = "ds:dedupe:"
	defaultCallTimeout = time.Second
	writers            = 2    // pipelines in flight
	mostWaiting        = 1024 // calls that wait for a writer; more wait at the door
)

// Connection says how to reach the server.
type Connection = rediskit.Config

// Config describes a Store.
type Config struct {
	Connection // Addr is required where there is no Client
	// Client is used instead of a connection of the store's own, such as that of a Redis Cluster. It stays the
	// caller's to close.
	Client redis.UniversalClient
	// Prefix stands before every key. Defaults to "ds:dedupe:". Braces would move keys between the slots of a cluster:
	// they are refused.
	Prefix string
	// CallTimeout bounds every pipeline. Defaults to 1 s; at least 1 ms.
	CallTimeout time.Duration
}

// Validate returns an error that names the first setting that is not acceptable.
func (c Config) Validate() error {
	if c.Client == nil {
		if err := c.Connection.Validate(); err != nil {
			return err
		}
	}
	if strings.ContainsAny(c.Prefix, "{}") {
		return durable.Invalid("Config.Prefix", c.Prefix, "use a prefix without braces")
	}
	if c.CallTimeout < 0 || c.CallTimeout > 0 && c.CallTimeout < time.Millisecond {
		return durable.Invalid("Config.CallTimeout", c.CallTimeout.String(), "use at least 1ms, or 0 for the default")
	}
	return nil
}

// Store is a middleware.DedupeStore on Redis. Its methods are safe for concurrent use.
type Store struct {
	client  redis.UniversalClient
	owned   bool
	prefix  string
	timeout time.Duration
	queue   chan *call
	stop    chan struct{} // closed when Close begins
	stopped chan struct{} // closed when everything has ended
	closing sync.Once
	work    sync.WaitGroup
	err     error // of closing; written before stopped is closed
}

var (
	_ middleware.DedupeStore = (*Store)(nil)
	_ durable.HealthChecker  = (*Store)(nil)
)

// Open connects and checks that the server can do what the store asks for.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("redisdedupe: open: %w", err)
	}
	s := &Store{
		client: cfg.Client, prefix: cfg.Prefix, timeout: cfg.CallTimeout,
		queue: make(chan *call, mostWaiting), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if s.prefix == "" {
		s.prefix = defaultPrefix
	}
	if s.timeout == 0 {
		s.timeout = defaultCallTimeout
	}
	if s.client == nil {
		connection := cfg.Connection
		connection.Timeout = s.timeout
		own := connection.Client(rediskit.Appending)
		s.client, s.owned = own, true
		if err := connection.Ping(ctx, name, own); err != nil {
			return nil, errors.Join(err, own.Close())
		}
	}
	if err := s.probe(ctx); err != nil {
		if s.owned {
			err = errors.Join(err, s.client.Close())
		}
		return nil, fmt.Errorf("redisdedupe: open: %w", err)
	}
	for range writers {
		s.work.Go(s.write)
	}
	return s, nil
}

// probe writes and reads one key as Reserve does.
func (s *Store) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.client.Do(ctx, "set", s.prefix+"probe", "0", "nx", "get", "px", 1).Err()
	var refused redis.Error
	switch {
	case err == nil || errors.Is(err, redis.Nil):
		return nil
	case errors.As(err, &refused):
		return fmt.Errorf("the server refuses SET NX GET PX, which needs Redis 7.0 and the right to write: %w", err)
	default:
		return fmt.Errorf("%w: %w", durable.ErrUnavailable, err)
	}
}

// Health returns nil when the server answers.
func (s *Store) Health(ctx context.Context) error {
	if s.closed() {
		return fmt.Errorf("redisdedupe: health: %w", durable.ErrClosed)
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redisdedupe: health: %w: %w", durable.ErrUnavailable, err)
	}
	return nil
}

// Close sends what waits, then closes what Open made. It is idempotent and bounded by ctx.
func (s *Store) Close(ctx context.Context) error {
	s.closing.Do(func() {
		close(s.stop)
		go s.end() // bounded by CallTimeout; Close waits for it
	})
	select {
	case <-s.stopped:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("redisdedupe: close: %w", context.Cause(ctx))
	}
}

func (s *Store) end() {
	s.work.Wait()
	if s.owned {
		s.err = s.client.Close()
	}
	close(s.stopped)
}

func (s *Store) closed() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}
