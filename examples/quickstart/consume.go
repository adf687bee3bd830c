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

// join makes the group of this run at the end of the topic, so that what is published from now on is processed and
// what earlier runs left behind is not.
func join(ctx context.Context, stack *dual.Stack, run string) (durable.Group, error) {
	g := stack.Group("quickstart-" + run)
	g.Start = durable.Newest()
	c, err := stack.Durable.Consume(ctx, g)
	if err != nil {
		return g, fmt.Errorf("create the group: %w", err)
	}
	if err := c.Close(ctx); err != nil {
		return g, fmt.Errorf("create the group: %w", err)
	}
	return g, nil
}

// consume is one member of the group, which joins again when the broker threw it out.
func consume(ctx context.Context, stack *dual.Stack, g durable.Group, l *ledger) error {
	handler := func(msg *message.Message) error {
		l.processing(msg.Metadata.Get(durable.MetaID))
		return nil
	}
	const pause = 200 * time.Millisecond
	for {
		err := durable.Process(ctx, stack.Durable, g, handler, stack.Process)
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
