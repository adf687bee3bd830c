package dual

import (
	"context"
	"fmt"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/realtime"
)

// announce hands the notifications of what was stored to the dispatcher, which does not block.
func (p *Publisher) announce(c *call) {
	if p.bus == nil {
		return
	}
	ns := p.scratch.Get().(*[]realtime.Notification)
	defer p.recycle(ns)
	var names []string // of the sources, one an event, where nothing else was asked for
	if p.opts.Channels == nil {
		names = sourceChannels(c.events)
	}
	for i := range c.receipts {
		r := &c.receipts[i]
		if r.Status != durable.Stored {
			continue
		}
		if p.opts.Channels == nil {
			r.Channels = names[i : i+1 : i+1]
		} else {
			r.Channels = p.opts.Channels(c.events[i])
		}
		for _, channel := range r.Channels {
			*ns = append(*ns, realtime.Notification{})
			notify(&(*ns)[len(*ns)-1], &c.events[i], r, channel)
		}
		r.Announced = len(r.Channels) > 0
	}
	if len(*ns) > 0 {
		p.bus.Dispatch(*ns...)
	}
}

// recycle keeps the memory of notifications that were dispatched, which the dispatcher has copied, for the next call.
func (p *Publisher) recycle(ns *[]realtime.Notification) {
	const mostKept = 1024
	if cap(*ns) > mostKept {
		return
	}
	clear(*ns)
	*ns = (*ns)[:0]
	p.scratch.Put(ns)
}

// sourceChannels are the channels of the events' sources.
func sourceChannels(events []durable.Event) []string {
	return realtime.Channels(len(events), func(i int) (sourceType, sourceID string) {
		return events[i].SourceType, events[i].SourceID
	})
}

// notify makes n the notification of e on channel: ids and the position, never data.
func notify(n *realtime.Notification, e *durable.Event, r *Receipt, channel string) {
	n.Channel, n.ID, n.Type, n.SourceType, n.SourceID, n.Time = channel, e.ID, e.Type, e.SourceType, e.SourceID, e.Time
	n.Topic, n.Position, n.TraceParent = r.Topic, string(r.Position), e.Metadata["traceparent"]
}

// Announce notifies without storing: for presence and typing indicators, which have no history. It hands over and
// returns; the error is ErrClosed, or ErrUnsupported where there is no real-time backend.
func (p *Publisher) Announce(ctx context.Context, ns ...realtime.Notification) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("dual: announce: %w", err)
	}
	if p.bus == nil {
		return fmt.Errorf("dual: announce: no real-time backend: %w", realtime.ErrUnsupported)
	}
	if !p.flights.start() {
		return fmt.Errorf("dual: announce: %w", realtime.ErrClosed)
	}
	defer p.flights.end()
	p.bus.Dispatch(ns...)
	return nil
}
