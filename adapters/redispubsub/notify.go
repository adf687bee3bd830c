package redispubsub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/realtime"
)

const (
	usualSize = 320     // bytes of a command with a notification
	mostKept  = 1 << 20 // bytes of a buffer that is kept for other calls
)

// wires are buffers for the commands of a call: fresh ones of a full batch would have the runtime clear memory and
// collect garbage all the time.
var wires = sync.Pool{New: func() any { return new([]byte) }}

// Notify implements realtime.Backend. The notifications of a call go out in order, in one pipeline. An error that
// is neither ctx's nor about an argument matches realtime.ErrUnavailable or realtime.ErrDenied.
func (b *Backend) Notify(ctx context.Context, ns ...realtime.Notification) error {
	if b.isClosed() {
		return fmt.Errorf("redispubsub: notify: %w", realtime.ErrClosed)
	}
	if err := realtime.CheckNotify(ns); err != nil {
		return fmt.Errorf("redispubsub: notify: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("redispubsub: notify: %w", err)
	}
	if len(ns) == 0 {
		return nil
	}
	wire := wires.Get().(*[]byte)
	*wire = encode((*wire)[:0], ns, b.sharded())
	fate, err := b.publish(ctx, rediskit.NewBatch(*wire, len(ns)))
	if fate != rediskit.Unknown && cap(*wire) <= mostKept {
		wires.Put(wire)
	}
	if err != nil {
		return fmt.Errorf("redispubsub: notify on %q: %w", ns[0].Channel, err)
	}
	return nil
}

// encode appends a command for each notification to wire.
func encode(wire []byte, ns []realtime.Notification, sharded bool) []byte {
	head := "*3\r\n$7\r\npublish\r\n"
	if sharded {
		head = "*3\r\n$8\r\nspublish\r\n"
	}
	wire = slices.Grow(wire, usualSize*len(ns))
	var room [realtime.MaxSize]byte
	for i := range ns {
		wire = append(wire, head...)
		wire = rediskit.AppendWord(wire, ns[i].Channel)
		wire = rediskit.AppendWord(wire, ns[i].AppendJSON(room[:0]))
	}
	return wire
}

// publish sends batch and returns what became of it and the first error of it.
func (b *Backend) publish(ctx context.Context, batch *rediskit.Batch) (rediskit.Fate, error) {
	fate, err := b.writer.Send(ctx, batch)
	switch {
	case errors.Is(err, rediskit.ErrStopped):
		return fate, realtime.ErrClosed
	case err != nil && ctx.Err() != nil:
		return fate, ctx.Err()
	case err != nil:
		return fate, down(err)
	}
	replies, got := batch.Replies()
	for range got {
		if err := replies.Err(); err != nil {
			return fate, down(err)
		}
		replies.Skip()
	}
	if err := batch.Err(); err != nil {
		return fate, down(err)
	}
	return fate, nil
}

// down adds the sentinel to why the server did not do what was asked.
func down(err error) error { return rediskit.Marked(err, realtime.ErrDenied, realtime.ErrUnavailable) }
