package realtime

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Table hands notifications out to the subscriptions of its process, for adapters whose broker knows nothing of
// channels: embed it, and put in what arrives. It has Subscribe, Capabilities, Health and Close of a Backend; Notify is
// the adapter's. It starts no goroutine, and all methods are safe for concurrent use.
type Table struct {
	caps   Capabilities
	buffer int

	mu     sync.Mutex // guards what follows and the channels of every subscription; taken before an inbox's lock
	closed bool
	subs   map[*entry]struct{}
}

// NewTable returns a table without subscriptions, each of which will hold so many notifications (DefaultInbox where
// buffer is not positive) before the oldest is dropped and a gap told.
func NewTable(c Capabilities, buffer int) *Table {
	return &Table{caps: c, buffer: buffer, subs: make(map[*entry]struct{})}
}

// Capabilities implements Backend: what NewTable was given.
func (t *Table) Capabilities() Capabilities { return t.caps }

// Check is what a Notify of ns begins with: the error is ctx's, ErrClosed, or an *InvalidError.
func (t *Table) Check(ctx context.Context, ns []Notification) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := t.Health(ctx); err != nil {
		return err
	}
	return CheckNotify(ns)
}

// Put hands ns out, in order, to the subscriptions that select them. It never blocks: one that is too slow gets a gap.
// After Close it does nothing.
func (t *Table) Put(ns ...Notification) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range ns {
		for s := range t.subs {
			if s.selects(ns[i].Channel) {
				s.inbox.Put(ns[i])
			}
		}
	}
}

// Gap tells every subscription that it may have missed notifications. It never blocks; after Close it does nothing.
func (t *Table) Gap(reason GapReason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.subs {
		s.inbox.Gap(reason)
	}
}

// Health implements HealthChecker: it fails after Close only.
func (t *Table) Health(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	return nil
}

// Subscribe implements Backend.
func (t *Table) Subscribe(ctx context.Context, channels ...string) (Subscription, error) {
	s, err := t.subscribe(ctx, channels)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (t *Table) subscribe(ctx context.Context, channels []string) (*entry, error) {
	if err := t.check(ctx, channels); err != nil {
		return nil, err
	}
	s := &entry{table: t, inbox: NewInbox(t.buffer), exact: make(map[string]struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	s.add(channels)
	t.subs[s] = struct{}{}
	return s, nil
}

func (t *Table) check(ctx context.Context, channels []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return CheckSubscribe(t.caps, channels)
}

// Close implements Backend: it ends every subscription.
func (t *Table) Close(context.Context) error {
	t.mu.Lock()
	t.closed = true
	subs := slices.Collect(maps.Keys(t.subs))
	clear(t.subs)
	t.mu.Unlock()
	for _, s := range subs {
		s.inbox.Close()
	}
	return nil
}

// entry is one subscription of a Table, whose mutex guards it.
type entry struct {
	table    *Table
	inbox    *Inbox
	exact    map[string]struct{}
	patterns []string
	closed   bool
}

func (s *entry) selects(channel string) bool {
	if _, ok := s.exact[channel]; ok {
		return true
	}
	return slices.ContainsFunc(s.patterns, func(p string) bool { return Selects(p, channel) })
}

func (s *entry) add(channels []string) {
	for _, c := range channels {
		if !IsPattern(c) {
			s.exact[c] = struct{}{}
			continue
		}
		if !slices.Contains(s.patterns, c) {
			s.patterns = append(s.patterns, c)
		}
	}
}

// Next implements Subscription.
func (s *entry) Next(ctx context.Context) (Signal, error) { return s.inbox.Next(ctx) }

// Add implements Subscription.
func (s *entry) Add(ctx context.Context, channels ...string) error {
	return s.change(ctx, channels, s.add)
}

// Remove implements Subscription.
func (s *entry) Remove(ctx context.Context, channels ...string) error {
	return s.change(ctx, channels, func(channels []string) {
		for _, c := range channels {
			delete(s.exact, c)
		}
		s.patterns = slices.DeleteFunc(s.patterns, func(p string) bool { return slices.Contains(channels, p) })
	})
}

func (s *entry) change(ctx context.Context, channels []string, apply func([]string)) error {
	if err := s.table.check(ctx, channels); err != nil {
		return err
	}
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	if s.closed || s.table.closed {
		return ErrClosed
	}
	apply(channels)
	return nil
}

// Close implements Subscription.
func (s *entry) Close() error {
	s.table.mu.Lock()
	s.closed = true
	delete(s.table.subs, s)
	s.table.mu.Unlock()
	s.inbox.Close()
	return nil
}
