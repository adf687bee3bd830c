package redispubsub

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/realtime"
)

// session is one connection of a subscription. It belongs to the reader.
type session struct {
	s        *subscription
	ps       *redis.PubSub
	client   *redis.Client       // of a leg, of which ps is; else nil
	left     int                 // confirmations that the first commands still wait for
	exact    map[string]struct{} // what the broker has confirmed, as of the last reply read
	patterns []string            // sorted
}

// severed returns a context that has ended and has no deadline. The client library does not look at it while it
// reads and writes; it stops it from making another connection silently, whose gap nobody would see.
func severed() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// command subscribes ps to channels or unsubscribes it.
func (s *subscription) command(ps *redis.PubSub, channels []string, add bool) error {
	if s.home != nil {
		return shardCommand(ps, channels, add)
	}
	var exact, globs []string
	for _, c := range channels {
		if glob, ok := realtime.Glob(c); ok {
			globs = append(globs, glob)
		} else {
			exact = append(exact, c)
		}
	}
	one, many := ps.Unsubscribe, ps.PUnsubscribe
	if add {
		one, many = ps.Subscribe, ps.PSubscribe
	}
	if len(exact) > 0 {
		if err := one(severed(), exact...); err != nil {
			return fmt.Errorf("change channels: %w", err)
		}
	}
	if len(globs) > 0 {
		if err := many(severed(), globs...); err != nil {
			return fmt.Errorf("change patterns: %w", err)
		}
	}
	return nil
}

// open connects and asks for all that the subscription wants.
func (s *subscription) open() (*session, error) {
	ctx, cancel := context.WithTimeout(s.ctx, connectTimeout)
	defer cancel()
	n := &session{s: s, exact: map[string]struct{}{}}
	if s.home != nil {
		n.client = s.b.cfg.ClientTo(s.node)
		n.ps = n.client.Subscribe(ctx)
	} else {
		n.ps = s.b.listening.Subscribe(ctx) // no connection yet
	}
	ps := n.ps
	if err := ps.Ping(ctx); err != nil {
		n.close()
		return nil, fmt.Errorf("connect: %w", err)
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	s.mu.Lock()
	want := slices.Collect(maps.Keys(s.want))
	clear(s.unacked)
	for _, c := range want {
		s.unacked[c] = 1
	}
	s.ps, n.left = ps, len(want)
	s.mu.Unlock()
	if err := s.ctx.Err(); err != nil { // cut may have been before s.ps was set
		n.end()
		return nil, err
	}
	if err := s.command(ps, want, true); err != nil {
		n.end()
		return nil, err
	}
	return n, nil
}

// close closes the connection.
func (n *session) close() {
	_ = n.ps.Close()
	if n.client != nil {
		_ = n.client.Close()
	}
}

// end closes the connection. What waits for confirmations goes on waiting, for the next one.
func (n *session) end() {
	n.close()
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	n.s.ps = nil
	clear(n.s.unacked)
}

// receive reads one reply and reports whether it was the last of the first confirmations.
func (n *session) receive() (ready bool, err error) {
	reply, err := n.ps.Receive(severed())
	if err != nil {
		return false, err
	}
	switch m := reply.(type) {
	case *redis.Subscription:
		if m.Kind == "sunsubscribe" && n.s.unasked(m.Channel) {
			return false, errMovedAway
		}
		return n.confirm(m), nil
	case *redis.Message:
		n.deliver(m)
	}
	return false, nil
}

// confirm notes what the broker did.
func (n *session) confirm(m *redis.Subscription) (ready bool) {
	channel := m.Channel
	switch m.Kind {
	case "subscribe", "ssubscribe":
		n.exact[channel] = struct{}{}
	case "unsubscribe", "sunsubscribe":
		delete(n.exact, channel)
	case "psubscribe", "punsubscribe":
		at, has := slices.BinarySearch(n.patterns, channel)
		if add := m.Kind == "psubscribe"; add && !has {
			n.patterns = slices.Insert(n.patterns, at, channel)
		} else if !add && has {
			n.patterns = slices.Delete(n.patterns, at, at+1)
		}
		channel = realtime.Pattern(channel)
	}
	n.s.mu.Lock()
	defer n.s.mu.Unlock()
	if n.s.unacked[channel]--; n.s.unacked[channel] <= 0 {
		delete(n.s.unacked, channel)
		n.s.pay(channel)
	}
	n.s.tell()
	n.left-- // the first commands were sent first, so they are confirmed first
	return n.left == 0
}

// deliver hands a notification to the subscriber unless it is another copy.
func (n *session) deliver(m *redis.Message) {
	if m.Pattern != "" && n.copied(m.Pattern, m.Channel) {
		return
	}
	got, err := realtime.ParseNotification(m.Channel, []byte(m.Payload))
	if err != nil {
		if n.s.b.undecodable.Add(1) == 1 {
			n.s.b.cfg.Logger.Warn("redispubsub: payload is not a notification; further ones are only counted", "error", err)
		}
		return
	}
	n.s.inbox.Put(got)
}

// copied tells whether the broker sends the same on another account: Redis sends one copy for the exact channel
// and one for each pattern. The exact one counts, else that of the smallest pattern.
func (n *session) copied(pattern, channel string) bool {
	if _, ok := n.exact[channel]; ok {
		return true
	}
	for _, p := range n.patterns {
		if p >= pattern {
			return false
		}
		if realtime.Match(p, channel) {
			return true
		}
	}
	return false
}
