package redisstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
)

const defaultAppendTimeout = 5 * time.Second

// Connection says how to reach the server.
type Connection = rediskit.Config

// Sentinel says which Redis Sentinels know the address of the server.
type Sentinel = rediskit.Sentinel

// Cluster names nodes of a Redis Cluster.
type Cluster = rediskit.Cluster

// Config describes a Backend.
type Config struct {
	Connection                    // Addr, Sentinel or Cluster is required
	Marshaller      Marshaller    // defaults to watermill-redisstream's layout, encoded with less work; Fields are plain fields
	MaxMessageBytes int           // largest message; defaults to no limit of ours
	AppendTimeout   time.Duration // after which an append without an answer is Unknown; defaults to 5 s
	ClaimIdle       time.Duration // after which others take over what a dead member held, Ordering None; defaults to 1 min
	OrderedAppend   bool          // an append stops at the first message of a partition that is refused; defaults to going on
	LeaseTTL        time.Duration // after which another member may follow a dead one, Ordering PerKey; defaults to 10 s
	Persistence     string        // PersistenceWarn or PersistenceRequire; defaults to PersistenceWarn
	MinReplicas     int           // replicas that must have acknowledged an append, else it is Unknown; defaults to 0
	NoAck           bool          // Ordering None: what is read counts as acknowledged, at most once
	OnlyExisting    bool          // appending to a stream that does not exist is durable.ErrTopicNotFound; CreateTopic makes it
	Logger          *slog.Logger  // defaults to slog.Default

	// Trimming in the background, of the topics that this backend appends to. What a group has not acknowledged is
	// kept unless AllowUnread is set, and counted in Stats where it was not.
	MaxLen      int64         // entries of a partition that are kept; defaults to no limit
	Retention   time.Duration // age after which entries are trimmed; defaults to no limit
	ExactTrim   bool          // to the entry; otherwise some more stay (up to a node of the server's), for less work
	AllowUnread bool          // trims what a group has not acknowledged too

	// TTL is after how long the streams of a topic end as a whole, read or not, since the first append or, with
	// SlidingTTL, since the last; defaults to never.
	TTL        time.Duration
	SlidingTTL bool
}

// Backend is a durable.Backend on Redis Streams.
type Backend struct {
	cfg      Config
	writer   rediskit.Sender // of appends
	acks     rediskit.Sender // of acknowledgements, Ordering None
	server   server
	stats    stats
	trimmer  *trimmer
	control  rediskit.Client
	shapes   shapes
	turn     atomic.Uint64 // of messages without a key
	members  members
	stop     chan struct{} // closed when Close begins
	stopped  chan struct{} // closed when everything has ended
	stopOnce sync.Once
	closeErr error            // written before stopped is closed
	clock    func() time.Time // of leases; nil: time.Now
	shows    time.Duration    // see showEvery; 0: defaultShow
}

var _ durable.Backend = (*Backend)(nil)

// Open connects and checks that the server answers. The error names the setting to look at.
func Open(ctx context.Context, cfg Config) (*Backend, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("redisstream: %w", err)
	}
	if err := cfg.limits().Check(); err != nil {
		return nil, fmt.Errorf("redisstream: setting %w", err)
	}
	if f, ok := cfg.Marshaller.(Fields); ok {
		if err := f.Check(); err != nil {
			return nil, fmt.Errorf("redisstream: setting fields.%w", err)
		}
	}
	if cfg.AppendTimeout == 0 {
		cfg.AppendTimeout = defaultAppendTimeout
	}
	cfg.Connection = cfg.Ready()
	b := &Backend{
		cfg: cfg, control: cfg.Client(rediskit.Control),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	if err := cfg.Ping(ctx, "redisstream", b.control); err != nil {
		return nil, errors.Join(err, b.control.Close())
	}
	if err := b.checkDurability(ctx); err != nil {
		return nil, errors.Join(err, b.control.Close())
	}
	known, err := b.askServer(ctx)
	if err != nil {
		return nil, errors.Join(err, b.control.Close())
	}
	b.server = known
	b.writer = cfg.NewWriter(cfg.AppendTimeout, cfg.waitCommand())
	b.acks = cfg.NewWriter(cfg.CommandTimeout(), nil)
	b.trimmer = b.newTrimmer()
	return b, nil
}

// Capabilities implements durable.Backend.
func (b *Backend) Capabilities() durable.Capabilities {
	return durable.Capabilities{Backend: "redisstream", Groups: true, OrderedGroup: true, DynamicTopics: true, StartAtTime: true, AttemptCount: true, Partitions: true, Replay: true, ReplayFollow: true, MaxMessageBytes: b.cfg.MaxMessageBytes}
}

// Close implements durable.Backend. Appends that were accepted are written first.
func (b *Backend) Close(ctx context.Context) error {
	b.stopOnce.Do(func() {
		close(b.stop)
		go func() { // ends with the writer, which AppendTimeout bounds
			left := b.closeMembers()
			b.writer.Close()
			b.trimmer.close()
			b.acks.Close()
			b.closeErr = errors.Join(left, b.control.Close())
			close(b.stopped)
		}()
	})
	select {
	case <-b.stopped:
		return b.closeErr
	case <-ctx.Done():
		return fmt.Errorf("redisstream: close: %w", ctx.Err())
	}
}

func (b *Backend) closed() bool {
	select {
	case <-b.stop:
		return true
	default:
		return false
	}
}
