package middleware

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// Defaults of Dedupe.
const (
	DefaultDedupeLease     = 30 * time.Second
	DefaultDedupeKeep      = 24 * time.Hour
	DefaultDedupeBusyPause = 100 * time.Millisecond

	dedupeStorePause = time.Second // how long a store that failed is left alone
)

// ErrBusy says that another attempt at the same event is running. The event has not failed: it is neither acknowledged nor
// counted, and never poison.
var ErrBusy = errors.New("dedupe: the event is reserved by another attempt")

// DedupeFailure says what becomes of events while the store cannot be asked.
type DedupeFailure uint8

// The policies for a store that is down.
const (
	// FailClosed holds events back until the store answers: none is handled twice. They keep their attempts.
	FailClosed DedupeFailure = iota
	// FailOpen handles them without asking: at least once.
	FailOpen
)

// Dedupe lets a group handle every event once, as far as a store can tell, in two phases: an event is reserved before
// the handler, remembered after its success and given up after its failure or panic, so that a failed first try is
// never swallowed. A reservation has a lease, which is extended while the handler runs; after a crash the event is
// handled again when the lease is over. What was handled before is acknowledged without the handler.
//
// An event that another attempt holds is busy: under durable.Process it is given back with [durable.Release] and tried
// again after BusyPause; elsewhere it waits in place, at most BusyWait, and ends as ErrBusy.
//
// Messages that the handler produces are published after it: under a Watermill router the event is remembered when
// the router acknowledges it. Under durable.Process nothing tells whether they were published; such an event is given
// up, not remembered. Publish inside of the handler there.
//
// It belongs inside of Retry, so that each attempt asks anew. The zero value works; all methods are safe for concurrent
// use. A Dedupe must not be copied after its first use.
type Dedupe struct {
	// Group whose events these are. Defaults to the group under durable.Process, to the handler's name under a
	// Watermill router, to the group of a durable.Subscriber elsewhere. A handler that runs under none needs it. Handlers that hand an event on to each other with its
	// id need groups of their own: within one group it is the same event, which was handled.
	Group string
	// Store remembers. Defaults to a MemoryDedupe of its own, which knows this process alone.
	Store DedupeStore
	// Lease of a reservation. Defaults to 30 s; at least 1 ms.
	Lease time.Duration
	// Keep is how long a handled event is remembered. Defaults to 24 h; at least 1 ms.
	Keep time.Duration
	// BusyPause is how long a busy event waits before it is tried again. Defaults to 100 ms.
	BusyPause time.Duration
	// BusyWait is how long a busy event waits in place, where it is not under durable.Process. Defaults to twice Lease.
	BusyWait time.Duration
	// StoreDown says what happens while the store fails. Defaults to FailClosed.
	StoreDown DedupeFailure
	// Key names an event within the group; "" is never a duplicate. Defaults to DedupeKey.
	Key func(*message.Message) string
	// Logger is told when the store fails and works again. Defaults to slog.Default().
	Logger *slog.Logger

	once  sync.Once
	state *dedupe
	err   error
}

// Validate returns a *durable.InvalidError that names the first field that is not acceptable, or nil.
func (d *Dedupe) Validate() error {
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"Dedupe.Lease", d.Lease}, {"Dedupe.Keep", d.Keep}, {"Dedupe.BusyPause", d.BusyPause}, {"Dedupe.BusyWait", d.BusyWait}} {
		if f.value < 0 || f.value > 0 && f.value < time.Millisecond {
			return durable.Invalid(f.name, f.value.String(), "use at least 1ms, or 0 for the default")
		}
	}
	if d.StoreDown > FailOpen {
		return durable.Invalid("Dedupe.StoreDown", "unknown", "use FailClosed or FailOpen")
	}
	return nil
}

// Middleware wraps h. Where Validate fails it handles nothing.
func (d *Dedupe) Middleware(h message.HandlerFunc) message.HandlerFunc {
	s, err := d.open()
	if err != nil {
		return refuse(err)
	}
	return func(msg *message.Message) ([]*message.Message, error) { return s.handle(msg, h) }
}

// Stats counts what was decided so far.
func (d *Dedupe) Stats() DedupeStats {
	s, err := d.open()
	if err != nil {
		return DedupeStats{}
	}
	return s.counts.snapshot()
}

// open makes the state at the first use.
func (d *Dedupe) open() (*dedupe, error) {
	d.once.Do(func() {
		if d.err = d.Validate(); d.err != nil {
			return
		}
		s := &dedupe{
			group: d.Group, store: d.Store, open: d.StoreDown == FailOpen, key: d.Key, logger: d.Logger,
			lease: orDefault(d.Lease, DefaultDedupeLease), keep: orDefault(d.Keep, DefaultDedupeKeep),
			busyPause: orDefault(d.BusyPause, DefaultDedupeBusyPause),
		}
		s.busyWait = orDefault(d.BusyWait, 2*s.lease)
		s.busy = durable.Release(durable.RetryAfter(ErrBusy, s.busyPause))
		if s.store == nil {
			s.store = NewMemoryDedupe(0)
		}
		if s.key == nil {
			s.key = DedupeKey
		}
		s.logger = orDefault(s.logger, slog.Default())
		s.attempts.init(s)
		d.state = s
	})
	return d.state, d.err
}

// groupOf is the group that msg is handled in; under tells that durable.Process does. The error is an *InvalidError.
func (s *dedupe) groupOf(ctx context.Context) (group string, under bool, err error) {
	d, under := deliveryOf(ctx)
	switch {
	case s.group != "":
		return s.group, under, nil
	case under:
		return d.Group, true, nil
	}
	if name := message.HandlerNameFromCtx(ctx); name != "" {
		return name, false, nil
	}
	if d.Group != "" {
		return d.Group, false, nil
	}
	return "", false, durable.Invalid("Dedupe.Group", "", "name the group: the handler runs neither under durable.Process, nor on a durable.Subscriber, nor under a router")
}
