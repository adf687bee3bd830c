package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Tiers is the delayed retry, for waits that are longer than a consumer should hold a key: an event whose attempts are
// used up goes to a topic of its own for each delay, {topic}.retry.5s, then .1m, then .10m, and to the poison queue
// outside when the last of them has failed too. The order of its key is given up: later events of the key go on.
//
// The group consumes the tiers as it does the topic itself, with the same handler: add [Tiers.Topics] to its topics, or
// run a durable.Process of its own for them, so that what waits there takes no place in flight from the topic. An
// event is handled no earlier than due, by the clock of this machine against that of the one that wrote it, and by the
// group it failed in: the others acknowledge it. It has a full set of attempts in each tier.
//
// A tier is a topic like others: one that a group consumes is to exist, as its own topics are. The source is
// acknowledged only after the tier has confirmed; a write that fails is tried again without the handler. What a tier
// refuses, such as an event that is too large with its metadata, and permanent failures pass on to the poison queue at
// once.
//
// A Tiers must not be copied after its first use.
type Tiers struct {
	// Backend holds the tiers; required.
	Backend durable.Backend
	// Group in which events fail. Defaults to the group under durable.Process and on a durable.Subscriber, to the
	// handler's name under a Watermill router on any other.
	Group string
	// Delays are the tiers, growing. Default to 5 s, 1 min and 10 min.
	Delays []time.Duration
	// TopicOf names a tier of a topic. Defaults to {topic}.retry.{delay}.
	TopicOf func(origin string, delay time.Duration) string
	// KeepOrder keeps the order of keys: an event is not moved to a tier, but waits for its delay in front of its
	// key, whose later events wait behind it. Under durable.Process they hold their places in flight and no worker;
	// elsewhere the handler waits in place. There is one attempt after each delay.
	KeepOrder bool
	// Logger is told when a tier cannot be written. Defaults to slog.Default().
	Logger *slog.Logger

	once  sync.Once
	saver *saver
	err   error
	level journal[int] // KeepOrder: delays that an event has waited for
}

var defaultDelays = [...]time.Duration{5 * time.Second, time.Minute, 10 * time.Minute}

// DefaultDelays are the delays of Tiers that have none.
func DefaultDelays() []time.Duration { return append([]time.Duration(nil), defaultDelays[:]...) }

// errNotDue: an event of a tier came before its time.
var errNotDue = errors.New("not due yet")

// Validate returns an *durable.InvalidError that names the field that makes no sense, or nil.
func (t *Tiers) Validate() error {
	if t.Backend == nil && !t.KeepOrder {
		return durable.Invalid("Tiers.Backend", "nil", "pass the backend that is to hold the tiers")
	}
	last := time.Duration(0)
	for _, d := range t.Delays {
		if d <= last {
			return durable.Invalid("Tiers.Delays", d.String(), "use positive delays that grow")
		}
		last = d
	}
	return nil
}

// Health is nil, or says that events wait because a tier cannot be written.
func (t *Tiers) Health(context.Context) error {
	if err := t.open(); err != nil || t.saver == nil {
		return err
	}
	return t.saver.health()
}

func (t *Tiers) open() error {
	t.once.Do(func() {
		if t.err = t.Validate(); t.err == nil && t.Backend != nil {
			t.saver = newSaver("retry tier", t.Backend, 0, t.Logger)
		}
	})
	return t.err
}

func (t *Tiers) delays() []time.Duration {
	if len(t.Delays) == 0 {
		return defaultDelays[:]
	}
	return t.Delays
}

func (t *Tiers) topic(origin string, delay time.Duration) string {
	if t.TopicOf != nil {
		return t.TopicOf(origin, delay)
	}
	return origin + ".retry." + short(delay)
}

// Topics are the tiers of the topics origins.
func (t *Tiers) Topics(origins ...string) []string {
	if t.KeepOrder {
		return nil
	}
	var out []string
	for _, origin := range origins {
		for _, d := range t.delays() {
			out = append(out, t.topic(origin, d))
		}
	}
	return out
}

// short is d without the zeros that time.Duration writes: 1m, not 1m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// Middleware wraps h.
func (t *Tiers) Middleware(h message.HandlerFunc) message.HandlerFunc {
	if err := t.open(); err != nil {
		return refuse(err)
	}
	return func(msg *message.Message) ([]*message.Message, error) {
		ctx := msg.Context()
		d, under := deliveryOf(ctx)
		if inTier(msg, topicOf(ctx, d)) {
			if group, wanted := groupOf(ctx, t.Group, d), msg.Metadata[MetaTierGroup]; wanted != "" && group != "" && wanted != group {
				return nil, nil
			}
			if err := t.awaitDue(ctx, msg.Metadata[MetaTierDue], under); err != nil {
				return nil, err
			}
		}
		if under && t.saver != nil {
			if found, err := t.saver.resume(ctx, d); found {
				return nil, err
			}
		}
		if t.KeepOrder {
			return t.inOrder(ctx, msg, h, d, under)
		}
		out, err := h(msg)
		if err == nil {
			return out, nil
		}
		msg.SetContext(ctx)
		return nil, t.failed(ctx, msg, d, under, err)
	}
}

// awaitDue is an error until an event of a tier is due; outside of durable.Process it waits.
func (t *Tiers) awaitDue(ctx context.Context, due string, under bool) error {
	at, err := time.Parse(time.RFC3339Nano, due)
	if err != nil {
		return nil //nolint:nilerr // what somebody else wrote is due now
	}
	left := time.Until(at)
	if left <= 0 {
		return nil
	}
	if under {
		return Busy(errNotDue, left)
	}
	if cause := wait(ctx, left); cause != nil {
		return interruption(cause, errNotDue)
	}
	return nil
}

// failed moves an event whose attempts are used up to its next tier.
func (t *Tiers) failed(ctx context.Context, msg *message.Message, d durable.Delivery, under bool, err error) error {
	f, err := lastWord(ctx, d, err)
	if f == nil {
		return err
	}
	level, sum := 0, *f
	if inTier(msg, topicOf(ctx, d)) {
		level, _ = strconv.Atoi(msg.Metadata[MetaTierLevel])
		before, _ := strconv.Atoi(msg.Metadata[MetaTierAttempts])
		sum.Attempts += before
		if first, err := time.Parse(time.RFC3339Nano, msg.Metadata[MetaTierFirst]); err == nil {
			sum.First = first
		}
	}
	if hopelessEvent(f) || level < 0 || level >= len(t.delays()) {
		return &sum
	}
	return t.saver.save(ctx, d, under, t.prepare(ctx, msg, d, &sum, level))
}

// hopelessEvent tells whether another attempt would fail for certain.
func hopelessEvent(f *Failure) bool {
	return f.Reason == ReasonPermanent || f.Reason == ReasonUndecodable
}

// prepare makes the record of msg for the tier after level.
func (t *Tiers) prepare(ctx context.Context, msg *message.Message, d durable.Delivery, f *Failure, level int) unsaved {
	delay := t.delays()[level]
	origin := originOf(ctx, msg, d)
	tier := t.topic(origin, delay)
	record := func() *message.Message {
		m := msg.Copy()
		m.Metadata[MetaTierTopic] = origin
		m.Metadata[MetaTierName] = tier
		m.Metadata[MetaTierGroup] = groupOf(ctx, t.Group, d)
		m.Metadata[MetaTierDue] = time.Now().Add(delay).UTC().Format(time.RFC3339Nano)
		m.Metadata[MetaTierLevel] = strconv.Itoa(level + 1)
		m.Metadata[MetaTierAttempts] = strconv.Itoa(f.Attempts)
		m.Metadata[MetaTierFirst] = f.First.UTC().Format(time.RFC3339Nano)
		if level == 0 && d.Claim != nil {
			m.Metadata[MetaTierPosition] = string(d.Position)
			m.Metadata[MetaTierPartition] = strconv.Itoa(d.Claim.Partition())
			if !d.StoredAt.IsZero() {
				m.Metadata[MetaTierStored] = d.StoredAt.UTC().Format(time.RFC3339Nano)
			}
		}
		if m.Metadata[durable.MetaPartitionKey] == "" && d.Key != "" {
			m.Metadata[durable.MetaPartitionKey] = d.Key
		}
		return m
	}
	return unsaved{
		topic: tier, forms: []func() *message.Message{record},
		done:    func(context.Context, bool) error { return nil },
		refused: func() error { return f },
	}
}

// inOrder has the event wait in front of its key.
func (t *Tiers) inOrder(ctx context.Context, msg *message.Message, h message.HandlerFunc, d durable.Delivery, under bool) ([]*message.Message, error) {
	for level := 0; ; level++ {
		if under {
			level, _ = t.level.get(placeOf(d))
		}
		out, err := h(msg)
		if err == nil {
			if under && !t.level.empty() {
				t.level.drop(placeOf(d))
			}
			return out, nil
		}
		msg.SetContext(ctx)
		f, err := lastWord(ctx, d, err)
		if f == nil {
			if under && err == nil { // skipped
				t.level.drop(placeOf(d))
			}
			return nil, err
		}
		if hopelessEvent(f) || level >= len(t.delays()) {
			if under {
				t.level.drop(placeOf(d))
			}
			return nil, f
		}
		delay := t.delays()[level]
		err = fmt.Errorf("tried again in %s: %w", short(delay), f)
		if under {
			t.level.set(ctx, placeOf(d), level+1)
			return nil, Busy(err, delay)
		}
		if cause := wait(ctx, delay); cause != nil {
			return nil, interruption(cause, err)
		}
	}
}
