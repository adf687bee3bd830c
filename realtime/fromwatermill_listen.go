package realtime

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// probe is a message on its way to the listener and back.
type probe struct {
	run  func() error // by the listener when it comes back, under mu
	done chan error   // of run; buffered: nobody may wait any more
}

// settle publishes a probe until it comes back, and has the listener call run at that moment, under mu. It returns run's
// error, or its own; run is not called after it has returned.
func (b *watermillBackend) settle(ctx context.Context, run func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	id := rand.Text()
	p := &probe{run: run, done: make(chan error, 1)}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	b.probes[id] = p
	if !b.listening {
		b.listening = true
		b.calls.Add(1)
		go b.listen()
	}
	b.mu.Unlock()
	defer b.forget(id)
	for wait := probeAgain; ; wait = min(2*wait, probeLongest) {
		msg := message.NewMessageWithContext(ctx, id, nil)
		msg.Metadata.Set(metaProbe, id)
		if err := b.publish(ctx, []*message.Message{msg}); err != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case err := <-p.done:
			timer.Stop()
			return err
		case <-timer.C: // sent before the subscription ran
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

func (b *watermillBackend) forget(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.probes, id)
}

// failProbes ends all waits with err. The caller holds mu.
func (b *watermillBackend) failProbes(err error) {
	for id, p := range b.probes {
		p.done <- err
		delete(b.probes, id)
	}
}

// listen reads the topic until Close, and subscribes again where a subscription ends or is not made.
func (b *watermillBackend) listen() {
	defer b.calls.Done()
	for again := false; ; again = true {
		made, closed := b.subscription(again)
		b.mu.Lock()
		if b.life.Err() != nil {
			b.closeErr = closed
		} else if err := errors.Join(made, closed); err != nil {
			b.failProbes(err)
		}
		b.mu.Unlock()
		if !restBetween(b.life) {
			return
		}
	}
}

// restBetween waits between two tries; it is false at the end of ctx.
func restBetween(ctx context.Context) bool {
	timer := time.NewTimer(watermillAgain)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// subscription reads by one subscriber until it ends. The errors are those of making and of closing it.
func (b *watermillBackend) subscription(again bool) (made, closed error) {
	sub, err := b.w.Subscriber()
	if err != nil {
		return fmt.Errorf("%s: subscriber: %w", b.w.Name, errors.Join(ErrUnavailable, err)), nil
	}
	ctx, cancel := context.WithCancel(b.life)
	defer cancel()
	messages, err := sub.Subscribe(ctx, b.w.Topic)
	if err != nil {
		return fmt.Errorf("%s: subscribe to %q: %w: %w", b.w.Name, b.w.Topic, ErrUnavailable, err), sub.Close()
	}
	if again {
		b.calls.Go(func() { b.tellGap(ctx) })
	}
	b.read(messages)
	cancel()
	return nil, sub.Close()
}

// tellGap tells every subscription of the gap as soon as the listener runs again, however long the probe cannot be
// published. A subscription that ends before, which ends ctx, has another gap.
func (b *watermillBackend) tellGap(ctx context.Context) {
	told := func() error {
		b.table.Gap(GapReconnect)
		return nil
	}
	for b.settle(ctx, told) != nil && restBetween(ctx) {
	}
}

func (b *watermillBackend) read(messages <-chan *message.Message) {
	for {
		select {
		case msg, ok := <-messages:
			if !ok {
				return
			}
			b.receive(msg)
			msg.Ack()
		case <-b.life.Done():
			return
		}
	}
}

// receive hands msg to whoever subscribed to its channel. What is no notification is nobody's.
func (b *watermillBackend) receive(msg *message.Message) {
	if id := msg.Metadata[metaProbe]; id != "" {
		b.returned(id)
		return
	}
	n, err := ParseNotification(msg.Metadata[MetaChannel], msg.Payload)
	if err == nil && CheckChannel(n.Channel) == nil {
		b.table.Put(n)
	}
}

// returned ends the wait for a probe, unless it has ended.
func (b *watermillBackend) returned(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.probes[id]; p != nil {
		delete(b.probes, id)
		p.done <- p.run()
	}
}
