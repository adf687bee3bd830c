package durable

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// The defaults of SubscribeOptions.
const (
	DefaultReaderBuffer      = 256
	DefaultReaderBufferBytes = 16 << 20
)

// FullPolicy says what a reader does where a subscription's buffer is full.
type FullPolicy int

// The policies.
const (
	// FullWait holds the reader back until there is room, and with it its other subscriptions: nothing is missed.
	FullWait FullPolicy = iota
	// FullDrop drops the oldest record of the buffer and tells it by a MissedError: the others are not held back.
	FullDrop
)

// SubscribeOptions describes a Subscription. Its zero value yields everything.
type SubscribeOptions struct {
	// Select passes the messages that it is true for, such as the Passes of a middleware.Filter, which knows types of
	// events and patterns; nil passes all. A record that could not be decoded passes whatever Select would say. It is
	// called by the reader's goroutines, for several topics at once, and must neither block nor change the message. Its
	// panic ends the subscription with a *PanicError.
	Select func(*message.Message) bool
	// Buffer is how many records wait for Next at most. Defaults to DefaultReaderBuffer.
	Buffer int
	// BufferBytes bounds what waits by the Size of its messages; one record always fits. Defaults to
	// DefaultReaderBufferBytes.
	BufferBytes int
	// WhenFull defaults to FullWait.
	WhenFull FullPolicy
}

// MissedError says that a subscription was too slow, and how many records were dropped before the next one.
type MissedError struct{ Missed int64 }

// Error implements error.
func (e *MissedError) Error() string {
	return fmt.Sprintf("durable: reader: %d records were dropped, because the subscription was too slow", e.Missed)
}

// TopicError says that a topic is not read any more, and why.
type TopicError struct {
	Topic string
	Err   error
}

// Error implements error.
func (e *TopicError) Error() string { return fmt.Sprintf("durable: reader of %q: %v", e.Topic, e.Err) }

// Unwrap is the reason.
func (e *TopicError) Unwrap() error { return e.Err }

// Subscription yields what its Reader reads, from the moment it was made. One goroutine calls Next; Close may be called
// from any.
type Subscription struct {
	reader *Reader
	o      SubscribeOptions
	wake   chan struct{} // 1: one pending wake-up of Next

	mu      sync.Mutex
	queue   []read
	records int           // in queue
	bytes   int           // of their messages
	missed  int64         // dropped and not told
	room    chan struct{} // not nil while someone waits for room; closed when there may be some
	err     error         // why it ended
}

// read is what waits for Next: a record, or the end of a topic.
type read struct {
	record Record
	size   int
	end    *TopicError
}

func newSubscription(r *Reader, o SubscribeOptions) *Subscription {
	if o.Buffer == 0 {
		o.Buffer = DefaultReaderBuffer
	}
	if o.BufferBytes == 0 {
		o.BufferBytes = DefaultReaderBufferBytes
	}
	return &Subscription{reader: r, o: o, wake: make(chan struct{}, 1)}
}

// Next blocks until there is a record, which is the caller's own. The error is ctx's; ErrClosed once the subscription
// or the reader was closed, whatever is left; a *PanicError of Select, which ends the subscription; a *TopicError, where
// a topic is not read any more, behind its last record; or a *MissedError. After the last two Next goes on with what is
// next.
func (s *Subscription) Next(ctx context.Context) (Record, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Record{}, err
		}
		if rec, ok, err := s.take(); ok || err != nil {
			return rec, err
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
		}
	}
}

func (s *Subscription) take() (Record, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return Record{}, false, s.err
	case s.missed > 0:
		missed := &MissedError{Missed: s.missed}
		s.missed = 0
		return Record{}, false, missed
	case len(s.queue) == 0:
		return Record{}, false, nil
	}
	next := s.pop()
	if next.end != nil {
		return Record{}, false, next.end
	}
	s.makeRoom()
	return next.record, true, nil
}

// pop takes the oldest off the queue. The caller holds mu.
func (s *Subscription) pop() read {
	x := s.queue[0]
	s.queue[0] = read{}
	s.queue = s.queue[1:]
	if x.end == nil {
		s.records--
		s.bytes -= x.size
	}
	return x
}

// makeRoom tells who waits that there may be room. The caller holds mu.
func (s *Subscription) makeRoom() {
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}

// Close ends the subscription, unblocks Next and lets go of what is left. It is idempotent.
func (s *Subscription) Close() error {
	s.finish(ErrClosed)
	return nil
}

// finish ends the subscription with err.
func (s *Subscription) finish(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err, s.queue = err, nil
		s.makeRoom()
	}
	s.mu.Unlock()
	poke(s.wake)
	s.reader.remove(s)
}

// selects tells whether rec is for the subscription.
func (s *Subscription) selects(rec *Record) (yes bool) {
	if s.o.Select == nil || rec.DecodeErr != nil {
		return true
	}
	defer func() {
		if v := recover(); v != nil {
			s.finish(&PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	return s.o.Select(rec.Message)
}

// put adds x, as WhenFull says. It waits no longer than until ctx is done or the subscription ends.
func (s *Subscription) put(ctx context.Context, x read) {
	for {
		room := s.offer(x)
		if room == nil {
			return
		}
		select {
		case <-room:
		case <-ctx.Done():
			return
		}
	}
}

// offer adds x, or returns what tells when to try again. The end of a topic always fits.
func (s *Subscription) offer(x read) (room chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil
	}
	for x.end == nil && s.full(x.size) {
		if s.o.WhenFull == FullWait {
			if s.room == nil {
				s.room = make(chan struct{})
			}
			return s.room
		}
		s.drop()
	}
	s.queue = append(s.queue, x)
	if x.end == nil {
		s.records++
		s.bytes += x.size
	}
	poke(s.wake)
	return nil
}

func (s *Subscription) full(size int) bool {
	return s.records >= s.o.Buffer || s.records > 0 && s.bytes+size > s.o.BufferBytes
}

// drop drops the oldest record. Ends of topics before it are told behind what comes then.
func (s *Subscription) drop() {
	for {
		oldest := s.pop()
		if oldest.end == nil {
			s.missed++
			return
		}
		s.queue = append(s.queue, oldest)
	}
}
