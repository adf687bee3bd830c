package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

// closeGrace is how long Close waits, beyond its context, for what ends because its connection was cut.
const closeGrace = time.Second

// Backend is the durable stream on Kafka. Its methods are safe for concurrent use.
type Backend struct {
	cfg    Config
	client sarama.Client // for metadata and administration
	admin  sarama.ClusterAdmin
	writer *writer
	timers sync.Pool // of *time.Timer, for appends

	life      context.Context // ends when Close gives up waiting
	end       context.CancelCauseFunc
	reads     context.Context // of Replay; ends when Close begins
	stopReads context.CancelFunc
	wg        sync.WaitGroup // goroutines that the backend owns, its consumers, and calls of Consume

	mu        sync.Mutex
	closed    bool
	calls     sync.WaitGroup // calls that use the producers or the client; they all select on life
	consumers map[*consumer]struct{}
	closing   sync.Once
	finished  chan struct{} // closed when Close has done its work
	closeErr  error         // read after finished
}

var (
	_ durable.Backend       = (*Backend)(nil)
	_ durable.Administrator = (*Backend)(nil)
	_ durable.LagReporter   = (*Backend)(nil)
	_ durable.HealthChecker = (*Backend)(nil)
)

// Open connects to the cluster. A cluster that cannot be reached within cfg.OpenTimeout is durable.ErrUnavailable.
func Open(ctx context.Context, cfg Config) (*Backend, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kafka: open: %w", err)
	}
	cfg = cfg.filled()
	cfg.dialer = newDialer()
	if cfg.SASL.Mechanism == SASLPlain && cfg.TLS == nil {
		cfg.Logger.Warn("kafka: the password is sent in clear text: enable TLS, or use SCRAM", "brokers", cfg.Brokers)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.OpenTimeout, fmt.Errorf("no answer within open_timeout, %v", cfg.OpenTimeout))
	defer cancel()
	type opened struct {
		b   *Backend
		err error
	}
	done := make(chan opened) // received from in any case
	go func() {
		b, err := open(cfg)
		done <- opened{b, err}
	}()
	select {
	case o := <-done:
		return o.b, o.err
	case <-ctx.Done():
		cfg.dialer.cut(context.Cause(ctx)) // sarama takes no context; without connections it gives up at once
		if o := <-done; o.b != nil {
			_ = o.b.Close(ctx)
		}
		return nil, openError(cfg, context.Cause(ctx))
	}
}

// openError says which setting to look at.
func openError(cfg Config, err error) error {
	brokers := strings.Join(cfg.Brokers, ",")
	switch {
	case errors.Is(err, sarama.ErrSASLAuthenticationFailed):
		return fmt.Errorf("kafka: open: the brokers %s refuse user %q, check the setting \"sasl\": %w: %w",
			brokers, cfg.SASL.User, durable.ErrDenied, oneLine{err})
	case errors.Is(err, sarama.ErrUnsupportedSASLMechanism):
		return fmt.Errorf("kafka: open: the brokers %s do not offer %s, check the setting \"sasl.mechanism\": %w", brokers, cfg.SASL.Mechanism, oneLine{err})
	}
	if setting, remedy := settings.Handshake(err); setting != "" {
		return fmt.Errorf("kafka: open: no TLS with the brokers %s, check the setting %q: %w: %s", brokers, setting, oneLine{err}, remedy)
	}
	return fmt.Errorf("kafka: open: none of the brokers %s answers, check the setting \"brokers\" (and TLS and SASL): %w: %w",
		brokers, durable.ErrUnavailable, oneLine{err})
}

// diagnose adds to err why connections fail, which sarama's clients do not always tell.
func diagnose(cfg Config, err error) error {
	if !errors.Is(err, sarama.ErrOutOfBrokers) || cfg.SASL.Mechanism == "" {
		return err
	}
	for _, addr := range cfg.Brokers {
		b := sarama.NewBroker(addr)
		if failed := b.Open(cfg.reader()); failed != nil {
			return errors.Join(err, failed)
		}
		if ok, reason := b.Connected(); !ok {
			err = errors.Join(err, reason)
			continue
		}
		_ = b.Close() // has done its part
	}
	return err
}

func open(cfg Config) (*Backend, error) {
	b := &Backend{cfg: cfg, consumers: map[*consumer]struct{}{}, finished: make(chan struct{})}
	b.life, b.end = context.WithCancelCause(context.Background())
	b.reads, b.stopReads = context.WithCancel(context.Background())
	var err error
	if b.client, err = sarama.NewClient(cfg.Brokers, cfg.reader()); err != nil {
		return nil, openError(cfg, diagnose(cfg, err))
	}
	if b.admin, err = sarama.NewClusterAdminFromClient(b.client); err != nil {
		return nil, errors.Join(openError(cfg, err), b.client.Close())
	}
	if b.writer, err = dialWriter(cfg); err != nil {
		return nil, errors.Join(openError(cfg, err), b.client.Close())
	}
	return b, nil
}

// Capabilities implements durable.Backend.
func (b *Backend) Capabilities() durable.Capabilities {
	return durable.Capabilities{
		Backend: "kafka", Ack: durable.AckThrough, Groups: true, OrderedGroup: true, Replay: true, ReplayFollow: true,
		StartAtTime: true, DynamicTopics: true, Partitions: true, AttemptCount: true, MaxMessageBytes: b.cfg.MaxMessageBytes - sizeHeadroom,
	}
}

// enter counts a call in wg, which is b.calls or b.wg; leave it with wg.Done. Nothing enters once closed is set.
func (b *Backend) enter(wg *sync.WaitGroup) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return durable.ErrClosed
	}
	wg.Add(1)
	return nil
}

// Close implements durable.Backend. Loops over Replay end with durable.ErrClosed; it does not wait for their bodies, and
// may be called in one. The context of the first call bounds the work, that of every call its own wait. At its end all
// connections are cut, so that nothing outlives it for a broker that does not answer.
func (b *Backend) Close(ctx context.Context) error {
	b.closing.Do(func() {
		b.mu.Lock()
		b.closed = true
		open := make([]*consumer, 0, len(b.consumers))
		for c := range b.consumers {
			open = append(open, c)
		}
		b.mu.Unlock()
		go func() { // ends with ctx at the latest
			b.closeErr = b.shut(ctx, open)
			close(b.finished)
		}()
	})
	return closing(ctx, b.finished, &b.closeErr)
}

func (b *Backend) shut(ctx context.Context, open []*consumer) error {
	b.stopReads()
	var errs []error
	ends := make(chan error, len(open)) // one each
	for _, c := range open {
		go func() { ends <- c.Close(ctx) }()
	}
	for range open {
		errs = append(errs, <-ends)
	}
	if !waitFor(ctx, &b.calls) {
		errs = append(errs, fmt.Errorf("kafka: close: calls were in flight: %w", ctx.Err()))
	}
	b.end(durable.ErrClosed)
	b.calls.Wait() // the writer may close only now; every such call selects on b.life
	errs = append(errs, b.writer.close(ctx))
	if !waitFor(ctx, &b.wg) || !waitFor(ctx, &b.writer.asks) {
		errs = append(errs, fmt.Errorf("kafka: close: not everything has ended: %w", ctx.Err()))
	}
	b.cfg.dialer.cut(durable.ErrClosed)
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	errs = append(errs, within(grace, b.writer.client.Close), within(grace, b.client.Close))
	if !waitFor(grace, &b.writer.wg) || !waitFor(grace, &b.writer.asks) {
		errs = append(errs, fmt.Errorf("kafka: close: the producer has not ended: %w", grace.Err()))
	}
	return errors.Join(errs...)
}

// waitFor reports whether wg came to its end before ctx did.
func waitFor(ctx context.Context, wg *sync.WaitGroup) bool {
	return within(ctx, func() error { wg.Wait(); return nil }) == nil
}

// within runs do, which takes no context, and stops waiting for it when ctx is done.
func within(ctx context.Context, do func() error) error {
	done := make(chan error, 1) // do may end when nobody waits any more
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		select {
		case err := <-done:
			return err
		default:
			return context.Cause(ctx)
		}
	}
}
