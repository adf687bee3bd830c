package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// A consumer consumes n events of topic in a new group, acknowledges each and returns when that is done.
type consumer func(ctx context.Context, topic, group string, n int64) (sample, error)

// processed consumes through durable.Process with a handler that does nothing.
func processed(ctx context.Context, b durable.Backend, g durable.Group, n int64) (sample, error) {
	return untilPassed(ctx, n, func(ctx context.Context, pass *passing) error {
		return durable.Process(ctx, b, g, func(*message.Message) error { pass.seen(); return nil }, durable.ProcessOptions{})
	})
}

// untilPassed runs process until n events have passed, then ends it and waits for it.
func untilPassed(ctx context.Context, n int64, process func(context.Context, *passing) error) (sample, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pass := newPassing(n)
	ended := make(chan error, 1)
	go func() { ended <- process(ctx, pass) }()
	select {
	case <-pass.full:
	case err := <-ended:
		return sample{}, fmt.Errorf("processing ended after %d of %d events: %w", pass.got.Load(), n, errors.Join(err, ctx.Err()))
	}
	s := pass.sample()
	stop()
	return s, <-ended
}

// drained acknowledges n messages of a Watermill subscription, and waits for what it acknowledges on the way back,
// because closing the subscriber would lose the last of it.
func drained(ctx context.Context, messages <-chan *message.Message, n int64, acknowledged func() error) (sample, error) {
	pass := newPassing(n)
	for range n {
		select {
		case m, ok := <-messages:
			if !ok {
				return sample{}, errors.New("the subscription ended early")
			}
			m.Ack()
			pass.seen()
		case <-ctx.Done():
			return sample{}, ctx.Err()
		}
	}
	return pass.sample(), until(ctx, 10*time.Second, acknowledged)
}
