package durable

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

const (
	closeTimeout   = 30 * time.Second // the bound of Publisher.Close
	publishTimeout = time.Minute      // the bound of Publisher.Publish once there is room
)

// Publisher appends to a Backend: it validates, and bounds what is in flight in events and bytes. It starts no
// goroutines. All methods are safe for concurrent use; callers that wait for room are served in their order.
type Publisher struct {
	backend   Backend
	gate      gate
	wait      time.Duration
	maxBytes  int
	logger    *slog.Logger
	congested atomic.Bool // the last decision was ErrBackpressure
	counters  publisherCounters
}

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher returns a Publisher onto b, which stays the caller's to close. The error is an *InvalidError.
func NewPublisher(b Backend, o PublisherOptions) (*Publisher, error) {
	if b == nil {
		return nil, Invalid("backend", "nil", "pass a backend")
	}
	o, err := o.filled(b.Capabilities())
	if err != nil {
		return nil, err
	}
	return &Publisher{
		backend:  b,
		gate:     gate{maxEvents: o.MaxInFlight, maxBytes: o.MaxInFlightBytes},
		wait:     o.Wait,
		maxBytes: o.MaxMessageBytes,
		logger:   o.Logger,
	}, nil
}

// Append stores msgs in topic as Backend.Append does, after it has checked them and there is room in flight.
//
// Room is taken for the whole batch at once. Where it does not come within Wait, the error is ErrBackpressure and
// nothing was stored: every message is NotSent. A batch that is larger than the bounds themselves could never be
// admitted: it is refused at once with an *InvalidError, every message Rejected. No messages: no error.
// After Close the error is ErrClosed. Every error of a batch is a *BatchError.
func (p *Publisher) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]Position, error) {
	if len(msgs) == 0 {
		return nil, nil
	}
	if err := CheckTopic(topic); err != nil {
		return p.invalid(len(msgs), FailAll(topic, len(msgs), Rejected, err))
	}
	size, err := measure(topic, p.maxBytes, msgs)
	if err != nil {
		return p.invalid(len(msgs), err)
	}
	return p.admit(ctx, topic, msgs, size)
}

// AppendBatch is Append of b's events, without the checks that b has made.
func (p *Publisher) AppendBatch(ctx context.Context, topic string, b *Batch) ([]Position, error) {
	if b.Len() == 0 {
		return nil, nil
	}
	if err := CheckTopic(topic); err != nil {
		return p.invalid(b.Len(), FailAll(topic, b.Len(), Rejected, err))
	}
	i, size := b.Largest()
	if err := CheckSize(size, p.maxBytes); err != nil {
		return p.invalid(b.Len(), FailInvalid(topic, b.Len(), i, err))
	}
	return p.admit(ctx, topic, b.msgs, b.size)
}

// admit appends checked msgs of size bytes when there is room for them.
func (p *Publisher) admit(ctx context.Context, topic string, msgs []*message.Message, size int) ([]Position, error) {
	if err := p.tooMuch(len(msgs), size); err != nil {
		return p.invalid(len(msgs), FailAll(topic, len(msgs), Rejected, err))
	}
	if err := p.gate.enter(ctx, p.wait, len(msgs), size); err != nil {
		if errors.Is(err, ErrBackpressure) {
			p.counters.refused.Add(uint64(len(msgs)))
		}
		return make([]Position, len(msgs)), FailAll(topic, len(msgs), NotSent, p.refused(err))
	}
	defer p.gate.leave(len(msgs), size)
	if p.congested.Load() && p.congested.CompareAndSwap(true, false) {
		p.logger.Info("durable: publisher has room again")
	}
	positions, err := p.backend.Append(ctx, topic, msgs...)
	p.counters.appended(msgs, size, err)
	return positions, err
}

// invalid counts n events that are refused with err.
func (p *Publisher) invalid(n int, err error) ([]Position, error) {
	p.counters.invalid.Add(uint64(n))
	return make([]Position, n), err
}

// Publish makes the Publisher one of Watermill's. Errors are those of Append, which takes the values of the first
// message's context, because a batch is appended as a whole. That the context ends does not end the call: Watermill's
// own publishers do not look at it, and its Timeout leaves one that has ended in every message it hands back, to a
// PoisonQueue among others. The call is bounded by Wait and a minute; use Append for a bound of your own.
func (p *Publisher) Publish(topic string, msgs ...*message.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	ctx := context.Background()
	if msgs[0] != nil {
		ctx = context.WithoutCancel(msgs[0].Context())
	}
	ctx, cancel := context.WithTimeout(ctx, max(p.wait, 0)+publishTimeout)
	defer cancel()
	_, err := p.Append(ctx, topic, msgs...)
	return err
}

// Close is Shutdown bounded by 30 s.
func (p *Publisher) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return p.Shutdown(ctx)
}

// Shutdown refuses new appends and those that wait for room with ErrClosed, and waits for those in flight until ctx
// is done. It is idempotent and does not close the backend.
func (p *Publisher) Shutdown(ctx context.Context) error {
	empty := p.gate.shut()
	select {
	case <-empty:
		return nil
	default:
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("durable: close publisher: %d events still in flight: %w", p.Stats().InFlight, context.Cause(ctx))
	}
}

// refused puts the reason why there was no room into words.
func (p *Publisher) refused(err error) error {
	if !errors.Is(err, ErrBackpressure) {
		return fmt.Errorf("nothing stored: %w", err)
	}
	s := p.Stats()
	if p.congested.CompareAndSwap(false, true) {
		p.logger.Warn("durable: publisher refuses events, too much in flight",
			"in_flight", s.InFlight, "bytes", s.InFlightBytes, "waiting", s.Waiting)
	}
	return fmt.Errorf("%w: %d events and %d bytes, no room within %s; nothing stored",
		ErrBackpressure, s.InFlight, s.InFlightBytes, max(p.wait, 0))
}

func (p *Publisher) tooMuch(events, bytes int) error {
	if events > p.gate.maxEvents {
		return Invalid("batch", strconv.Itoa(events)+" messages",
			"append at most MaxInFlight ("+strconv.Itoa(p.gate.maxEvents)+") messages at once, or raise it")
	}
	if bytes > p.gate.maxBytes {
		return Invalid("batch", strconv.Itoa(bytes)+" bytes",
			"append at most MaxInFlightBytes ("+strconv.Itoa(p.gate.maxBytes)+") at once, or raise it")
	}
	return nil
}
