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
	run  func()     // by the listener when it comes back, under mu
	done chan error // buffered: nobody may wait any more
}

// settle publishes a probe until it comes back, and has the listener call run at that moment, under mu.
func (b *watermillBackend) settle(ctx context.Context, run func()) error {
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
		err := b.subscription(again)
		if b.life.Err() != nil {
			b.mu.Lock()
			b.closeErr = err
			b.mu.Unlock()
			return
		}
		if err != nil {
			b.mu.Lock()
			b.failProbes(err)
			b.mu.Unlock()
		}
		timer := time.NewTimer(watermillAgain)
		select {
		case <-timer.C:
		case <-b.life.Done():
			timer.Stop()
			return
		}
	}
}

// subscription reads by one subscriber until it ends. The error is that of making or closing it.
func (b *watermillBackend) subscription(again bool) error {
	sub, err := b.w.Subscriber()
	if err != nil {
		return fmt.Errorf("%s: subscriber: %w", b.w.Name, errors.Join(ErrUnavailable, err))
	}
	ctx, cancel := context.WithCancel(b.life)
	defer cancel()
	messages, err := sub.Subscribe(ctx, b.w.Topic)
	if err != nil {
		return errors.Join(fmt.Errorf("%s: subscribe to %q: %w: %w", b.w.Name, b.w.Topic, ErrUnavailable, err), sub.Close())
	}
	if again {
		b.calls.Go(func() {
			_ = b.settle(ctx, func() { b.gap(GapReconnect) }) // a subscription that ends again has another gap
		})
	}
	b.read(messages)
	cancel()
	return sub.Close()
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
	b.mu.Lock()
	defer b.mu.Unlock()
	if id := msg.Metadata[metaProbe]; id != "" {
		if p := b.probes[id]; p != nil {
			delete(b.probes, id)
			p.run()
			p.done <- nil
		}
		return
	}
	n, err := ParseNotification(msg.Metadata[MetaChannel], msg.Payload)
	if err != nil || CheckChannel(n.Channel) != nil {
		return
	}
	for s := range b.subs {
		if s.selects(n.Channel) {
			s.inbox.Put(n)
		}
	}
}

// gap tells every subscription. The caller holds mu.
func (b *watermillBackend) gap(reason GapReason) {
	for s := range b.subs {
		s.inbox.Gap(reason)
	}
}
