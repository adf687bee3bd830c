package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/realtime"
)

const (
	firstLines = 5   // notifications that are printed one by one
	sample     = 500 // afterwards every 500th is
)

// listen subscribes to the channel of every source and returns the loop that prints what comes until ctx ends.
func listen(ctx context.Context, stack *dual.Stack, l *ledger, out io.Writer) (func(context.Context), error) {
	if stack.Realtime == nil {
		return func(context.Context) {}, nil
	}
	channels := make([]string, len(l.sources))
	for i, id := range l.sources {
		channels[i] = realtime.Channel(sourceType, id)
	}
	sub, err := stack.Realtime.Subscribe(ctx, channels...)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return func(ctx context.Context) {
		defer sub.Close()
		for {
			s, err := sub.Next(ctx)
			if err != nil {
				return
			}
			if s.Gap != realtime.GapNone {
				_, _ = fmt.Fprintf(out, "  gap: %s\n", s.Gap)
				continue
			}
			show(out, l, s.Notification)
		}
	}, nil
}

func show(out io.Writer, l *ledger, n realtime.Notification) {
	after, count, first := l.receiving(n.ID)
	if !first || (count > firstLines && count%sample != 0) {
		return
	}
	_, _ = fmt.Fprintf(out, "  live #%-5d %-24s %s at %s, %.2f ms after publish\n",
		count, n.Channel, n.Type, n.Position, float64(after)/float64(time.Millisecond))
}
