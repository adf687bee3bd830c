package middleware

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Defaults of Poison.
const (
	DefaultPoisonSuffix = ".poison"
	DefaultProbeEvery   = 5 * time.Second
	DefaultWriteTimeout = 10 * time.Second
)

// AfterPoison says what becomes of a key whose event was poisoned.
type AfterPoison int

// What Poison.After may be.
const (
	// Continue acknowledges the event: the next one of its key follows.
	Continue AfterPoison = iota
	// ParkKey has the key wait, see durable.Park: the event stays the first of its key at its source, and is tried
	// again by the claim's next owner. The event in the poison topic is a copy. Outside of durable.Process it holds
	// the handler until the context of the message ends.
	ParkKey
	// Stop ends durable.Process with the *Failure. The event stays at its source, as with ParkKey.
	Stop
)

// Poison keeps events that cannot be handled in a durable topic of their own: those whose error is permanent, whose
// attempts are used up, whose handler panicked last, and whose stored bytes are not a message. It belongs outside of
// Retry; without a Retry inside, the first failure is the last, unless it asks for another attempt.
//
// A poison topic that does not exist is created with the backend's defaults, where the backend can. The source is
// acknowledged only after the poison topic has confirmed. While it cannot be written, the event stays
// unacknowledged, the write is tried again without the handler, and Health tells. A crash between the two leaves the
// event in both. What is busy, a shutdown included, is never poisoned. Nor is a bare context.Canceled: without a Retry
// inside, which counts those, an event whose handler always returns one is tried for ever.
//
// The event keeps its payload, metadata, id and key, unless its handler changed the message (see durable.Process), and
// has the keys MetaPoison… beside them. One that is too large for the poison topic with them loses the application's
// metadata first, and then its payload, in place of which it has a reference {"topic","position"} to the original.
//
// An event that was redriven for another group (see Redrive) is acknowledged without the handler.
//
// All methods are safe for concurrent use. A Poison must not be copied after its first use.
type Poison struct {
	// Backend holds the poison topics; required.
	Backend durable.Backend
	// Group in which events fail. Defaults to the group under durable.Process and on a durable.Subscriber, to the
	// handler's name under a Watermill router on any other.
	Group string
	// TopicOf names the poison topic of a topic; "" is an event of which nothing tells the topic. Defaults to the
	// topic and ".poison", or "poison".
	TopicOf func(origin string) string
	// After says what follows. Defaults to Continue.
	After AfterPoison
	// PauseAfter is the number of poisonings in a row after which the deploy, not the events, is taken for broken:
	// nothing more is poisoned or handled, but one event every ProbeEvery, until one succeeds. Defaults to never.
	PauseAfter int
	// ProbeEvery is the time between probes. Defaults to 5 s.
	ProbeEvery time.Duration
	// WriteTimeout bounds one write. Defaults to 10 s.
	WriteTimeout time.Duration
	// OnPoison is told of every event that was poisoned. It is called from many goroutines.
	OnPoison func(PoisonEvent)
	// Logger is told when poisoning begins, when it cannot be written, and of pauses. Defaults to slog.Default().
	Logger *slog.Logger

	once  sync.Once
	state *poison
	err   error
}

// PoisonEvent is an event that is in a poison topic now.
type PoisonEvent struct {
	Topic       string // of the event
	PoisonTopic string
	Failure     *Failure
	Message     *message.Message // as it was delivered, without what the poison topic has beside it
}

// Validate returns an *durable.InvalidError that names the field that makes no sense, or nil.
func (p *Poison) Validate() error {
	if p.Backend == nil {
		return durable.Invalid("Poison.Backend", "nil", "pass the backend that is to hold the poison topics")
	}
	if p.After < Continue || p.After > Stop {
		return durable.Invalid("Poison.After", strconv.Itoa(int(p.After)), "use Continue, ParkKey or Stop")
	}
	return firstError(
		notNegative("Poison.PauseAfter", p.PauseAfter), notNegative("Poison.ProbeEvery", p.ProbeEvery),
		notNegative("Poison.WriteTimeout", p.WriteTimeout),
	)
}

// Middleware wraps h. Several handlers may share one Poison: they share its pause too.
func (p *Poison) Middleware(h message.HandlerFunc) message.HandlerFunc {
	s, err := p.open()
	if err != nil {
		return refuse(err)
	}
	return func(msg *message.Message) ([]*message.Message, error) { return s.handle(msg, h) }
}

// Health is nil, or says that events wait because the poison topic cannot be written, or that handling is paused.
func (p *Poison) Health(context.Context) error {
	s, err := p.open()
	if err != nil {
		return err
	}
	if err := s.saver.health(); err != nil {
		return err
	}
	if s.gate.paused() {
		return fmt.Errorf("poison queue: paused after %d poisonings in a row, one event every %s is tried", p.PauseAfter, s.gate.every)
	}
	return nil
}

// poison is a Poison with its defaults filled in, at work.
type poison struct {
	saver    *saver
	group    string
	topicOf  func(string) string
	after    AfterPoison
	onPoison func(PoisonEvent)
	logger   *slog.Logger
	gate     gate
}

func (p *Poison) open() (*poison, error) {
	p.once.Do(func() {
		if p.err = p.Validate(); p.err != nil {
			return
		}
		s := &poison{
			saver: newSaver("poison queue", p.Backend, p.WriteTimeout, p.Logger),
			group: p.Group, topicOf: p.TopicOf, after: p.After, onPoison: p.OnPoison,
			logger: orDefault(p.Logger, slog.Default()),
			gate:   gate{after: int64(p.PauseAfter), every: orDefault(p.ProbeEvery, DefaultProbeEvery)},
		}
		if s.topicOf == nil {
			s.topicOf = poisonTopic
		}
		p.state = s
	})
	return p.state, p.err
}

func poisonTopic(origin string) string {
	if origin == "" {
		return DefaultPoisonSuffix[1:]
	}
	return origin + DefaultPoisonSuffix
}

// handle is the middleware around one message.
func (s *poison) handle(msg *message.Message, h message.HandlerFunc) ([]*message.Message, error) {
	ctx := msg.Context()
	d, under := deliveryOf(ctx)
	if forOthers(msg, s.groupOf(ctx, d), topicOf(ctx, d)) {
		return nil, nil
	}
	if under {
		if found, err := s.saver.resume(ctx, d); found {
			return nil, err
		}
	}
	if err := s.gate.enter(ctx, under); err != nil {
		return nil, err
	}
	if d.DecodeErr != nil {
		return nil, s.failed(ctx, msg, d, under, firstFailure(d, d.DecodeErr, ReasonUndecodable))
	}
	out, err := h(msg)
	if err == nil {
		s.succeeded()
		return out, nil
	}
	msg.SetContext(ctx)
	failure, err := lastWord(ctx, d, err)
	switch {
	case failure == nil && err == nil: // skipped
		s.succeeded()
		return nil, nil
	case failure == nil:
		return nil, err
	}
	return nil, s.failed(ctx, msg, d, under, failure)
}

// failed puts msg, which failed with f, into its poison topic. In a pause it was a probe and is tried again.
func (s *poison) failed(ctx context.Context, msg *message.Message, d durable.Delivery, under bool, f *Failure) error {
	if s.gate.paused() {
		return s.probed(ctx, f, under)
	}
	return s.saver.save(ctx, d, under, s.prepare(ctx, msg, d, f))
}

// succeeded ends a row of poisonings, and a pause.
func (s *poison) succeeded() {
	if s.gate.succeeded() {
		s.logger.Info("middleware: an event was handled, poison queue goes on")
	}
}

// probed is the result of an event that failed as a probe: it is not poisoned, but tried again.
func (s *poison) probed(ctx context.Context, f *Failure, under bool) error {
	if !under {
		_ = wait(ctx, s.gate.every)
	}
	return Busy(fmt.Errorf("%w: %w", errPaused, f), s.gate.every)
}

func (s *poison) groupOf(ctx context.Context, d durable.Delivery) string {
	return groupOf(ctx, s.group, d)
}

// groupOf is the group that handles an event: the one that was set, that of the delivery, or the name of the handler.
func groupOf(ctx context.Context, set string, d durable.Delivery) string {
	switch {
	case set != "":
		return set
	case d.Group != "":
		return d.Group
	default:
		return message.HandlerNameFromCtx(ctx)
	}
}
