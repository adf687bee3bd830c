package redispubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/realtime"
)

// subscription is a realtime.Subscription with a connection of its own.
type subscription struct {
	b      *Backend
	home   *sharded // of which it is the part at node; nil: it is whole
	node   string
	inbox  *realtime.Inbox
	ctx    context.Context // ends with the subscription
	cancel context.CancelFunc
	done   chan struct{} // closed when the reader has ended

	sending sync.Mutex // keeps commands in the order of the changes of want; taken before mu

	mu       sync.Mutex
	want     map[string]struct{}           // exact channels and marked patterns
	unacked  map[string]int                // commands per channel that the broker has not confirmed yet
	ps       *redis.PubSub                 // the connection where every command of want was sent; nil while there is none
	changed  chan struct{}                 // closed and replaced when unacked, ps or refusals change
	owed     map[string]realtime.GapReason // gaps to be told when channels that came from other nodes are confirmed
	refused  error                         // the latest error reply to a change
	refusals int                           // error replies so far
}

// Subscribe implements realtime.Backend. The subscription lives until it or the backend is closed.
func (b *Backend) Subscribe(ctx context.Context, channels ...string) (realtime.Subscription, error) {
	if b.isClosed() {
		return nil, fmt.Errorf("redispubsub: subscribe: %w", realtime.ErrClosed)
	}
	if err := realtime.CheckSubscribe(b.Capabilities(), channels); err != nil {
		return nil, fmt.Errorf("redispubsub: subscribe: %w", b.remedy(err))
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("redispubsub: subscribe: %w", err)
	}
	if b.sharded() {
		s, err := b.subscribeSharded(ctx, channels)
		if err != nil {
			return nil, fmt.Errorf("redispubsub: subscribe to %q: %w", channels[0], err)
		}
		return s, nil
	}
	s := &subscription{
		b: b, inbox: realtime.NewInbox(b.cfg.Buffer), done: make(chan struct{}),
		want: map[string]struct{}{}, unacked: map[string]int{}, changed: make(chan struct{}),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, c := range channels {
		s.want[c] = struct{}{}
	}
	if !b.register(s) {
		s.cancel()
		return nil, fmt.Errorf("redispubsub: subscribe: %w", realtime.ErrClosed)
	}
	r := &reader{s: s, first: make(chan error, 1)}
	go r.run() // ends with s.ctx; s.done tells
	var err error
	select {
	case err = <-r.first:
		if err != nil {
			<-s.done
		}
	case <-ctx.Done():
		err = ctx.Err()
		s.cut() // the reader ends by itself, within the timeouts of a connection; the backend's Close waits for it
	}
	if err != nil {
		return nil, fmt.Errorf("redispubsub: subscribe to %q: %w", channels[0], err)
	}
	return s, nil
}

func (b *Backend) register(s member) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.subs[s] = struct{}{}
	return true
}

func (b *Backend) forget(s member) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subs, s)
}

// Next implements realtime.Subscription.
func (s *subscription) Next(ctx context.Context) (realtime.Signal, error) { return s.inbox.Next(ctx) }

// Close implements realtime.Subscription. It returns when the connection is closed.
func (s *subscription) Close() error {
	s.cut()
	s.wait()
	return nil
}

// wait returns when the reader has ended.
func (s *subscription) wait() { <-s.done }

// cut makes the reader end, and Next too, without waiting for it.
func (s *subscription) cut() {
	s.cancel()
	if s.home == nil {
		s.inbox.Close()
	}
	s.mu.Lock()
	ps := s.ps
	s.mu.Unlock()
	if ps != nil {
		_ = ps.Close() // its connection is the reader's, who sees the error
	}
}

// Add implements realtime.Subscription. While the connection is being repaired it waits for it.
func (s *subscription) Add(ctx context.Context, channels ...string) error {
	return s.change(ctx, "add", channels, true)
}

// Remove implements realtime.Subscription. While the connection is being repaired it waits for it.
func (s *subscription) Remove(ctx context.Context, channels ...string) error {
	return s.change(ctx, "remove", channels, false)
}

func (s *subscription) change(ctx context.Context, op string, channels []string, add bool) error {
	if err := s.b.checkChange(ctx, s.ctx, op, channels); err != nil {
		return err
	}
	changed, refusals := s.request(channels, add)
	err := s.await(ctx, channels, refusals)
	if err == nil {
		return nil
	}
	if add && errors.Is(err, errRefused) {
		s.withdraw(changed)
	}
	return fmt.Errorf("redispubsub: %s %q: %w", op, channels[0], err)
}

// checkChange refuses a change of a subscription that lives until life ends.
func (b *Backend) checkChange(ctx, life context.Context, op string, channels []string) error {
	if life.Err() != nil {
		return fmt.Errorf("redispubsub: %s: %w", op, realtime.ErrClosed)
	}
	if err := realtime.CheckSubscribe(b.Capabilities(), channels); err != nil {
		return fmt.Errorf("redispubsub: %s: %w", op, b.remedy(err))
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("redispubsub: %s: %w", op, err)
	}
	return nil
}

// remedy adds to a refusal of patterns what to do.
func (b *Backend) remedy(err error) error {
	if !errors.Is(err, realtime.ErrUnsupported) {
		return err
	}
	return fmt.Errorf("%w: sharded Pub/Sub of a cluster has channels alone: name them, or set \"classic\"", err)
}

// request changes want and tells the broker. It returns what is different now, and the refusals so far.
func (s *subscription) request(channels []string, add bool) (changed []string, refusals int) {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.mu.Lock()
	for _, c := range channels {
		if _, has := s.want[c]; has == add {
			continue
		}
		changed = append(changed, c)
		if add {
			s.want[c] = struct{}{}
		} else {
			delete(s.want, c)
		}
	}
	ps, refusals := s.ps, s.refusals
	if ps != nil {
		for _, c := range changed {
			s.unacked[c]++
		}
	}
	s.mu.Unlock()
	if ps == nil || len(changed) == 0 {
		return changed, refusals
	}
	if err := s.command(ps, changed, add); err != nil {
		_ = ps.Close() // the reader makes another connection and subscribes to all of want
	}
	return changed, refusals
}

// withdraw takes back what a refused call added, or what goes to another node.
func (s *subscription) withdraw(channels []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range channels {
		delete(s.want, c)
		s.pay(c)
	}
}

// unasked tells whether nothing that s has asked about channel is unconfirmed.
func (s *subscription) unasked(channel string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unacked[channel] == 0
}

// errRefused is the broker's error reply to a change.
var errRefused = errors.New("refused")

// await waits until the broker has confirmed all that was asked about channels.
func (s *subscription) await(ctx context.Context, channels []string, refusals int) error {
	for {
		s.mu.Lock()
		ok, changed := s.ps != nil, s.changed
		for _, c := range channels {
			ok = ok && s.unacked[c] == 0
		}
		refused, again := s.refused, s.refusals > refusals
		s.mu.Unlock()
		if ok {
			return nil
		}
		if again {
			return down(fmt.Errorf("%w: %w", errRefused, refused))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return realtime.ErrClosed
		}
	}
}

// tell wakes who awaits. The caller holds mu.
func (s *subscription) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}
