package realtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// MetaChannel is the metadata key of a notification's channel where it travels over a Pub/Sub of Watermill.
const MetaChannel = "channel"

// DefaultTopic is the topic that carries the notifications of all channels unless told otherwise.
const DefaultTopic = "notifications"

const (
	metaProbe      = "probe"                // the id of a message that shows that a subscription runs
	probeAgain     = 100 * time.Millisecond // until the first repetition of a probe; doubles
	probeLongest   = 2 * time.Second
	watermillAgain = time.Second     // until a subscription that ended is made again
	watermillGrace = 5 * time.Second // for calls that do not end by themselves
)

// Watermill describes a Pub/Sub of Watermill for [FromWatermill].
type Watermill struct {
	// Name is Capabilities.Backend. Defaults to "watermill".
	Name string
	// Publisher broadcasts; its Publish is safe for concurrent use. Required.
	Publisher message.Publisher
	// Subscriber makes a subscriber that sees every message which is published from now on: one without a group, or in
	// a group of its own that begins at the newest message. The backend closes it. Required.
	Subscriber func() (message.Subscriber, error)
	// Topic carries the notifications of all channels. Defaults to DefaultTopic.
	Topic string
	// Buffer is how many notifications a subscription holds. Defaults to DefaultInbox.
	Buffer int
	// Close is called once, after the subscriber was closed: usually closing the Publisher, which otherwise stays the
	// caller's. Optional.
	Close func() error
}

// FromWatermill makes a Pub/Sub of Watermill a Backend. The error is an *InvalidError.
//
// All channels share one topic, because names of channels are not names of topics: every backend reads all
// notifications, once however many subscriptions it has, and picks by channel and pattern. The message's payload is
// the notification as AppendJSON writes it, its metadata MetaChannel is the channel, and its UUID is that of the event.
// The order of a channel is that of the topic: use one partition, or place messages by MetaChannel.
//
// Watermill's Subscribe may return before the subscription runs. Subscribe and Add therefore publish a probe and return
// when it came back; other readers of the topic see messages with the metadata "probe". A subscription that ends by
// itself is made again every second, which is a gap. Messages are acknowledged at once.
func FromWatermill(w Watermill) (Backend, error) {
	if w.Publisher == nil {
		return nil, invalid("Publisher", "nil", "pass a publisher")
	}
	if w.Subscriber == nil {
		return nil, invalid("Subscriber", "nil", "pass a constructor of subscribers")
	}
	if w.Name == "" {
		w.Name = "watermill"
	}
	if w.Topic == "" {
		w.Topic = DefaultTopic
	}
	b := &watermillBackend{
		w:        w,
		table:    NewTable(Capabilities{Backend: w.Name, Patterns: true, MaxNotification: MaxSize}, w.Buffer),
		probes:   map[string]*probe{},
		finished: make(chan struct{}),
	}
	b.life, b.end = context.WithCancel(context.Background())
	return b, nil
}

// watermillBackend is what FromWatermill makes.
type watermillBackend struct {
	w     Watermill
	table *Table          // of the subscriptions; its lock is taken after mu
	life  context.Context // ends when Close begins
	end   context.CancelFunc
	calls sync.WaitGroup // of Publish, and the listener

	mu        sync.Mutex
	closed    bool
	listening bool
	probes    map[string]*probe // that did not come back yet, by id

	closing  sync.Once
	finished chan struct{} // closed when Close has done its work
	closeErr error         // read after finished
}

var _ Backend = (*watermillBackend)(nil)

// Capabilities implements Backend.
func (b *watermillBackend) Capabilities() Capabilities { return b.table.Capabilities() }

// Notify implements Backend.
func (b *watermillBackend) Notify(ctx context.Context, ns ...Notification) error {
	if err := b.table.Check(ctx, ns); err != nil {
		return err
	}
	msgs := make([]*message.Message, len(ns))
	for i := range ns {
		msgs[i] = message.NewMessageWithContext(ctx, ns[i].ID, ns[i].AppendJSON(nil))
		msgs[i].Metadata.Set(MetaChannel, ns[i].Channel)
	}
	return b.publish(ctx, msgs)
}

// publish returns at the end of ctx although a Publish does not.
func (b *watermillBackend) publish(ctx context.Context, msgs []*message.Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !b.enter() {
		return ErrClosed
	}
	done := make(chan error, 1) // received from, or nobody waits any more
	go func() {
		defer b.calls.Done()
		if len(msgs) == 0 {
			done <- nil
			return
		}
		done <- publishAll(b.w.Publisher, b.w.Topic, msgs)
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: publish to %q: %w", b.w.Name, b.w.Topic, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// publishAll makes a panic of the publisher an error.
func publishAll(pub message.Publisher, topic string, msgs []*message.Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the publisher panicked: %v", p)
		}
	}()
	return pub.Publish(topic, msgs...)
}

// enter begins what Close waits for; it ends with calls.Done.
func (b *watermillBackend) enter() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.calls.Add(1)
	return true
}

// Close implements Backend. Where it returns at the end of ctx, what it began goes on.
func (b *watermillBackend) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.closing.Do(func() {
		b.end()
		go b.finish()
	})
	select {
	case <-b.finished:
		return b.closeErr
	case <-ctx.Done():
	}
	select {
	case <-b.finished:
		return b.closeErr
	default:
		return fmt.Errorf("%s: close: %w", b.w.Name, context.Cause(ctx))
	}
}

func (b *watermillBackend) finish() {
	defer close(b.finished)
	_ = b.table.Close(b.life) // has no error
	b.mu.Lock()
	b.failProbes(ErrClosed)
	b.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		b.calls.Wait()
	}()
	timer := time.NewTimer(watermillGrace)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C: // a Publish without an end: closing the publisher may end it
	}
	var err error
	if b.w.Close != nil {
		err = b.w.Close()
	}
	<-idle
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closeErr = errors.Join(b.closeErr, err)
}
