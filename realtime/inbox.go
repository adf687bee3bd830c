package realtime

import (
	"context"
	"sync"
)

// DefaultInbox is the number of notifications that an Inbox holds unless told otherwise.
const DefaultInbox = 1024

// Inbox is the bounded buffer of a [Subscription], for adapters: whoever reads from the broker never waits for the
// subscriber. When it is full the oldest notification is dropped, and the next signal is a GapOverflow that
// counts what was. One goroutine calls Next; the other methods may be called from any.
type Inbox struct {
	mu     sync.Mutex
	ring   []Signal // grows up to size
	head   int
	count  int
	size   int
	gap    GapReason // a gap that was dropped from the ring; it stands before it
	missed int       // notifications that were dropped since the last overflow was told
	closed bool
	wake   chan struct{} // one pending wake-up
	done   chan struct{} // closed by Close
}

// NewInbox returns an empty inbox for size notifications; DefaultInbox where size is not positive.
func NewInbox(size int) *Inbox {
	if size <= 0 {
		size = DefaultInbox
	}
	return &Inbox{size: size, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// Put adds a notification. It never blocks; after Close it does nothing.
func (b *Inbox) Put(n Notification) { b.put(Signal{Notification: n}) }

// Gap adds a gap. It never blocks; after Close it does nothing.
func (b *Inbox) Gap(reason GapReason) { b.put(Signal{Gap: reason}) }

func (b *Inbox) put(s Signal) {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return
	}
	if b.count == b.size {
		b.dropOldest()
	}
	if b.count == len(b.ring) {
		b.grow()
	}
	b.ring[(b.head+b.count)%len(b.ring)] = s
	b.count++
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *Inbox) dropOldest() {
	if s := b.pop(); s.Gap != GapNone {
		b.gap = s.Gap
		return
	}
	b.missed++
}

func (b *Inbox) pop() Signal {
	s := b.ring[b.head]
	b.ring[b.head] = Signal{}
	b.head = (b.head + 1) % len(b.ring)
	b.count--
	return s
}

func (b *Inbox) grow() {
	ring := make([]Signal, min(b.size, max(16, 2*len(b.ring))))
	for i := range b.count {
		ring[i] = b.ring[(b.head+i)%len(b.ring)]
	}
	b.ring, b.head = ring, 0
}

// Next blocks until there is a signal. The error is ctx's, or ErrClosed once Close was called, whatever is left.
func (b *Inbox) Next(ctx context.Context) (Signal, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Signal{}, err
		}
		if s, ok, err := b.take(); ok || err != nil {
			return s, err
		}
		select {
		case <-b.wake:
		case <-b.done:
		case <-ctx.Done():
		}
	}
}

func (b *Inbox) take() (Signal, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return Signal{}, false, ErrClosed
	case b.gap != GapNone:
		s := Signal{Gap: b.gap}
		b.gap = GapNone
		return s, true, nil
	case b.missed > 0:
		s := Signal{Gap: GapOverflow, Missed: b.missed}
		b.missed = 0
		return s, true, nil
	case b.count > 0:
		return b.pop(), true, nil
	default:
		return Signal{}, false, nil
	}
}

// Close unblocks Next and lets go of what is left. It is idempotent.
func (b *Inbox) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.closed = true
	b.ring, b.count = nil, 0
	close(b.done)
}
