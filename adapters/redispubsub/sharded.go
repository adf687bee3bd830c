package redispubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/dualstream/dualstream/realtime"
)

// sharded is a realtime.Subscription to sharded channels of a Redis Cluster: a connection to each master that has some
// of them. A channel whose slot moves to another node goes along, with a gap.
//
// Locks are taken in the order changing, mu, and those of a leg.
type sharded struct {
	b      *Backend
	inbox  *realtime.Inbox
	ctx    context.Context // ends with the subscription
	cancel context.CancelFunc
	work   sync.WaitGroup // readers of legs

	changing sync.Mutex // one change of where at a time

	mu    sync.Mutex
	legs  map[string]*subscription // by node
	where map[string]*subscription // by channel
}

// subscribeSharded is Subscribe on a cluster.
func (b *Backend) subscribeSharded(ctx context.Context, channels []string) (realtime.Subscription, error) {
	h := &sharded{
		b: b, inbox: realtime.NewInbox(b.cfg.Buffer),
		legs: map[string]*subscription{}, where: map[string]*subscription{},
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	if !b.register(h) {
		h.cut()
		return nil, realtime.ErrClosed
	}
	if err := h.add(ctx, channels); err != nil {
		h.cut() // the readers end within the timeouts of a connection; the backend's Close waits for them
		go h.leave()
		return nil, err
	}
	return h, nil
}

// Next implements realtime.Subscription.
func (h *sharded) Next(ctx context.Context) (realtime.Signal, error) { return h.inbox.Next(ctx) }

// Close implements realtime.Subscription. It returns when the connections are closed.
func (h *sharded) Close() error {
	h.cut()
	h.leave()
	return nil
}

func (h *sharded) leave() {
	h.wait()
	h.b.forget(h)
}

// cut makes the readers end, and Next too, without waiting for it.
func (h *sharded) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cancel()
	h.inbox.Close()
	for _, leg := range h.legs {
		leg.cut()
	}
}

// wait returns when the readers have ended.
func (h *sharded) wait() { h.work.Wait() }

// Add implements realtime.Subscription. While a connection is being repaired it waits for it.
func (h *sharded) Add(ctx context.Context, channels ...string) error {
	if err := h.b.checkChange(ctx, h.ctx, "add", channels); err != nil {
		return err
	}
	if err := h.add(ctx, channels); err != nil {
		return fmt.Errorf("redispubsub: add %q: %w", channels[0], err)
	}
	return nil
}

// add subscribes to channels where they are, and waits for that.
func (h *sharded) add(ctx context.Context, channels []string) error {
	added, refusals, err := h.place(ctx, channels)
	if err != nil {
		return down(err)
	}
	err = h.await(ctx, channels, refusals)
	if errors.Is(err, errRefused) {
		h.withdraw(added)
	}
	return err
}

// place has the legs of channels subscribe to them. It tells which are new, and how often each leg was refused something
// so far.
func (h *sharded) place(ctx context.Context, channels []string) (added []string, refusals map[*subscription]int, err error) {
	byNode := map[string][]string{}
	for _, c := range channels {
		addr, err := h.b.cfg.NodeOf(ctx, c)
		if err != nil {
			return nil, nil, err
		}
		byNode[addr] = append(byNode[addr], c)
	}
	h.changing.Lock()
	defer h.changing.Unlock()
	added, refusals = h.put(byNode, realtime.GapNone)
	return added, refusals, nil
}

// put is place of channels by node; gap is told when they are subscribed to. The caller holds changing.
func (h *sharded) put(byNode map[string][]string, gap realtime.GapReason) (added []string, refusals map[*subscription]int) {
	refusals = map[*subscription]int{}
	for addr, channels := range byNode {
		h.mu.Lock()
		leg := h.legs[addr]
		fresh := leg == nil
		if fresh {
			leg = h.newLeg(addr)
			h.legs[addr] = leg
		}
		var mine []string
		for _, c := range channels {
			if h.where[c] == nil {
				h.where[c] = leg
				mine = append(mine, c)
			}
		}
		h.mu.Unlock()
		leg.owe(mine, gap)
		_, refusals[leg] = leg.request(mine, true)
		if fresh {
			h.start(leg)
		}
		added = append(added, mine...)
	}
	return added, refusals
}

// newLeg is a subscription at addr that does not run yet.
func (h *sharded) newLeg(addr string) *subscription {
	s := &subscription{
		b: h.b, home: h, node: addr, inbox: h.inbox, done: make(chan struct{}), owed: map[string]realtime.GapReason{},
		want: map[string]struct{}{}, unacked: map[string]int{}, changed: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(h.ctx)
	return s
}

// start has leg read, unless the subscription has ended.
func (h *sharded) start(leg *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx.Err() != nil {
		return
	}
	r := &reader{s: leg, first: make(chan error, 1)}
	h.work.Go(r.run) // ends with leg.ctx
}

// await waits until every channel is confirmed where it is by then.
func (h *sharded) await(ctx context.Context, channels []string, refusals map[*subscription]int) error {
	for _, c := range channels {
		for {
			h.mu.Lock()
			leg := h.where[c]
			h.mu.Unlock()
			if leg == nil { // removed meanwhile
				break
			}
			before, known := refusals[leg]
			if !known { // it moved there
				before = leg.refusedSoFar()
				refusals[leg] = before
			}
			err := leg.await(ctx, []string{c}, before)
			h.mu.Lock()
			moved := h.where[c] != leg
			h.mu.Unlock()
			if moved && h.ctx.Err() == nil && ctx.Err() == nil {
				continue
			}
			if err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// withdraw takes channels back that were refused.
func (h *sharded) withdraw(channels []string) {
	h.changing.Lock()
	legs := h.take(channels)
	for leg, of := range legs {
		leg.withdraw(of)
	}
	h.changing.Unlock()
	for leg := range legs {
		h.retire(leg)
	}
}

// take forgets where channels are, and tells where they were.
func (h *sharded) take(channels []string) map[*subscription][]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[*subscription][]string{}
	for _, c := range channels {
		if leg := h.where[c]; leg != nil {
			delete(h.where, c)
			out[leg] = append(out[leg], c)
		}
	}
	return out
}

// Remove implements realtime.Subscription. While a connection is being repaired it waits for it.
func (h *sharded) Remove(ctx context.Context, channels ...string) error {
	if err := h.b.checkChange(ctx, h.ctx, "remove", channels); err != nil {
		return err
	}
	h.changing.Lock()
	legs, refusals := h.take(channels), map[*subscription]int{}
	for leg, of := range legs {
		_, refusals[leg] = leg.request(of, false)
	}
	h.changing.Unlock()
	err := h.awaitRemoval(ctx, legs, refusals)
	for leg := range legs {
		h.retire(leg)
	}
	if err == nil && h.ctx.Err() != nil {
		return fmt.Errorf("redispubsub: remove: %w", realtime.ErrClosed)
	}
	return err
}

// awaitRemoval waits until the channels of legs are not heard any more.
func (h *sharded) awaitRemoval(ctx context.Context, legs map[*subscription][]string, refusals map[*subscription]int) error {
	for leg, of := range legs {
		if err := leg.await(ctx, of, refusals[leg]); err != nil && leg.ctx.Err() == nil {
			return fmt.Errorf("redispubsub: remove %q: %w", of[0], err)
		}
	}
	return nil
}

// retire ends the connection of leg, if it has no channels left. Its reader ends by itself; Close waits for it.
func (h *sharded) retire(leg *subscription) {
	h.changing.Lock()
	defer h.changing.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(leg.channels()) == 0 && h.legs[leg.node] == leg {
		delete(h.legs, leg.node)
		leg.cut()
	}
}

// settle is called by the reader of leg, whose connection ended for reason: channels whose slots other nodes have now go
// there. It tells whether nothing is left for leg, which ends then.
func (h *sharded) settle(leg *subscription, reason realtime.GapReason) (over bool) {
	_ = h.b.cfg.Look(leg.ctx) // else they stay where they are
	h.changing.Lock()
	defer h.changing.Unlock()
	byNode := map[string][]string{}
	for _, c := range leg.channels() {
		if addr, err := h.b.cfg.NodeOf(leg.ctx, c); err == nil && addr != leg.node {
			byNode[addr] = append(byNode[addr], c)
		}
	}
	for _, channels := range byNode {
		h.take(channels)
		leg.withdraw(channels)
	}
	h.put(byNode, reason)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(leg.channels()) > 0 || h.ctx.Err() != nil {
		return false
	}
	if h.legs[leg.node] == leg {
		delete(h.legs, leg.node)
	}
	return true
}
