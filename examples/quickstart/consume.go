package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
)

// pause is between attempts to join.
const pause = 200 * time.Millisecond

// join makes the group, the first time at the end of the topic, so that what is published from now on is processed.
// Later runs go on where it is: the events that a run left behind are processed and not counted.
func join(ctx context.Context, stack *dual.Stack, name string) (durable.Group, error) {
	g := stack.Group(name)
	g.Start, g.OnExpired = durable.Newest(), durable.ExpiredOldest
	for {
		err := create(ctx, stack.Durable, g)
		if err == nil {
			return g, nil
		}
		if !errors.Is(err, durable.ErrUnavailable) || wait(ctx, pause) != nil {
			return g, fmt.Errorf("create the group: %w", err)
		}
	}
}

func create(ctx context.Context, b durable.Backend, g durable.Group) error {
	c, err := b.Consume(ctx, g)
	if err != nil {
		return err
	}
	return c.Close(ctx)
}

// consume is one member of the group, which joins again when the broker threw it out.
func consume(ctx context.Context, stack *dual.Stack, obs *observed, g durable.Group, l *ledger) error {
	handler := func(msg *message.Message) error {
		l.processing(msg.Metadata.Get(durable.MetaID))
		return nil
	}
	handle, options := obs.policy(stack, g, handler)
	for {
		err := durable.Process(ctx, stack.Durable, g, handle, options)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, durable.ErrUnsupported) || errors.Is(err, durable.ErrPositionExpired) ||
			errors.Is(err, durable.ErrInvalid) || errors.Is(err, durable.ErrClosed) {
			return err
		}
		if wait(ctx, pause) != nil {
			return nil
		}
	}
}
