package dual

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// Publisher stores events, then announces those that were stored. It is safe for concurrent use.
type Publisher struct {
	opts     Options
	store    *durable.Publisher
	bus      *realtime.Dispatcher // nil: durable only
	maxBytes int
	flights  flights
	scratch  sync.Pool // of *[]realtime.Notification, empty
}

// New returns a Publisher that stores in b and announces on n. A nil n makes it durable only: nothing is announced.
// Both backends stay the caller's to close.
func New(b durable.Backend, n realtime.Backend, opts Options) (*Publisher, error) {
	opts, err := opts.filled()
	if err != nil {
		return nil, fmt.Errorf("dual: new publisher: %w", err)
	}
	if b == nil {
		return nil, fmt.Errorf("dual: new publisher: %w", durable.Invalid("backend", "nil", "pass a durable backend"))
	}
	p := &Publisher{opts: opts, scratch: sync.Pool{New: func() any { return new([]realtime.Notification) }}}
	b = wrapped(b, opts.Append)
	if p.maxBytes = opts.Publisher.MaxMessageBytes; p.maxBytes == 0 {
		p.maxBytes = b.Capabilities().MaxMessageBytes
	}
	if p.store, err = durable.NewPublisher(b, opts.Publisher); err != nil {
		return nil, fmt.Errorf("dual: new publisher: %w", err)
	}
	if n == nil {
		return p, nil
	}
	if p.bus, err = realtime.NewDispatcher(wrapped(n, opts.Notify), opts.Dispatcher); err != nil {
		return nil, fmt.Errorf("dual: new publisher: %w", err)
	}
	return p, nil
}

// Publish stores events and announces those that were stored, and returns one Receipt per event.
//
// Every event is checked before any is stored: the error of one that is not acceptable names its index, and there
// are no receipts. No events are an ErrInvalid. Events of one topic are stored by one Append in their order; where a
// call names several topics, those are appended one after the other.
//
// The error speaks of storage alone. Where not all events were stored, errors.As finds a *durable.BatchError with
// one outcome per event. An event whose outcome is unknown is not announced; publishing it again with the ID of its
// receipt is safe. ErrBackpressure: nothing was stored. After Close it is ErrClosed.
func (p *Publisher) Publish(ctx context.Context, events ...durable.Event) ([]Receipt, error) {
	if len(events) == 0 {
		return nil, fmt.Errorf("dual: publish: %w", durable.Invalid("batch", "", "pass at least one event"))
	}
	if !p.flights.start() {
		return nil, fmt.Errorf("dual: publish: %w", durable.ErrClosed)
	}
	defer p.flights.end()
	c, err := p.prepare(ctx, events)
	if err != nil {
		return nil, fmt.Errorf("dual: publish: %w", err)
	}
	if err := c.store(ctx, p.store); err != nil {
		p.announce(c)
		return c.receipts, fmt.Errorf("dual: publish: %w", err)
	}
	p.announce(c)
	return c.receipts, nil
}

// prepare checks events and groups them by topic.
func (p *Publisher) prepare(ctx context.Context, events []durable.Event) (*call, error) {
	c := &call{events: slices.Clone(events), receipts: make([]Receipt, len(events))}
	c.groups = c.only[:0]
	var common map[string]string
	if p.opts.Metadata != nil {
		common = p.opts.Metadata(ctx)
	}
	for i := range c.events {
		e := &c.events[i]
		e.Metadata = merged(e.Metadata, common)
		topic, key := p.opts.Topic, ""
		if p.opts.TopicOf != nil || p.opts.Key != nil {
			*e = e.Fill()
		}
		if p.opts.Key != nil {
			key = p.opts.Key(*e)
		}
		if p.opts.TopicOf != nil {
			topic = p.opts.TopicOf(*e)
		}
		if err := c.add(i, topic, key); err != nil {
			return nil, fmt.Errorf("event %d: %w", i, err)
		}
	}
	if p.opts.Encoding == EncodingStructured {
		if err := c.structured(); err != nil {
			return nil, err
		}
	}
	if err := c.check(p.maxBytes); err != nil {
		return nil, err
	}
	return c, nil
}

// merged is own with what common has beside it; own is not changed.
func merged(own, common map[string]string) map[string]string {
	if len(common) == 0 {
		return own
	}
	out := maps.Clone(common)
	maps.Copy(out, own)
	return out
}

// Stats are the counters of both sides.
type Stats struct {
	Store durable.PublisherStats
	Bus   realtime.DispatcherStats // zero where there is no real-time backend
}

// Stats is what happened so far and what is in flight now.
func (p *Publisher) Stats() Stats {
	s := Stats{Store: p.store.Stats()}
	if p.bus != nil {
		s.Bus = p.bus.Stats()
	}
	return s
}

// Close refuses new calls with ErrClosed, waits for those in flight and for what waits to be announced until ctx is
// done, and closes no backend. It is idempotent.
func (p *Publisher) Close(ctx context.Context) error {
	errs := []error{p.flights.close(ctx), p.store.Shutdown(ctx)} // a call may have appends before it
	if p.bus != nil {
		errs = append(errs, p.bus.Close(ctx))
	}
	return errors.Join(errs...)
}
