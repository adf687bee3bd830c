package redispubsub

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/realtime"
)

const (
	mostPerPipeline = 1000 // commands; a larger call is one pipeline of its own
	usualSize       = 256  // bytes of an encoded notification
)

// The states of an item.
const (
	waiting int32 = iota
	taken         // a writer has it
	dropped       // its caller left before a writer took it
)

// item is one Notify on its way to a writer.
type item struct {
	state atomic.Int32
	cmds  []redis.Cmder
	done  chan struct{} // closed when cmds hold their results
}

// Notify implements realtime.Backend. The notifications of a call go out in order, in one pipeline. An error that
// is neither ctx's nor about an argument matches realtime.ErrUnavailable.
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
	it := &item{cmds: encode(ns), done: make(chan struct{})}
	if err := b.send(ctx, it); err != nil {
		return fmt.Errorf("redispubsub: notify on %q: %w", ns[0].Channel, err)
	}
	return nil
}

// encode makes a command of each notification.
func encode(ns []realtime.Notification) []redis.Cmder {
	cmds := make([]redis.Cmder, len(ns))
	buf := make([]byte, 0, usualSize*len(ns))
	for i := range ns {
		start := len(buf)
		buf = ns[i].AppendJSON(buf)
		cmds[i] = redis.NewIntCmd(context.Background(), "publish", ns[i].Channel, buf[start:len(buf):len(buf)])
	}
	return cmds
}

func (b *Backend) send(ctx context.Context, it *item) error {
	select {
	case b.queue <- it:
	case <-ctx.Done():
		return ctx.Err()
	case <-b.stop:
		return realtime.ErrClosed
	}
	select {
	case <-it.done:
		return outcome(it.cmds)
	case <-ctx.Done():
		it.state.CompareAndSwap(waiting, dropped)
		return ctx.Err()
	case <-b.stopped: // a writer ended before the item was queued, or it is done
		if it.state.CompareAndSwap(waiting, dropped) {
			return realtime.ErrClosed
		}
		<-it.done
		return outcome(it.cmds)
	}
}

// outcome is the first error of cmds.
func outcome(cmds []redis.Cmder) error {
	for _, c := range cmds {
		if err := c.Err(); err != nil {
			return fmt.Errorf("%w: %w", realtime.ErrUnavailable, err)
		}
	}
	return nil
}

// write sends what waits in one pipeline, until the backend stops and nothing waits.
func (b *Backend) write() {
	for {
		select {
		case it := <-b.queue:
			b.pipeline(it)
		case <-b.stop:
			select {
			case it := <-b.queue:
				b.pipeline(it)
			default:
				return
			}
		}
	}
}

// pipeline sends first and whatever else waits now.
func (b *Backend) pipeline(first *item) {
	var few [16]*item
	items, cmds := few[:0], []redis.Cmder(nil)
	for it := first; it != nil; {
		if it.state.CompareAndSwap(waiting, taken) {
			items = append(items, it)
			if cmds == nil {
				cmds = it.cmds[:len(it.cmds):len(it.cmds)]
			} else {
				cmds = append(cmds, it.cmds...)
			}
		}
		it = nil
		if len(cmds) < mostPerPipeline {
			select {
			case it = <-b.queue:
			default:
			}
		}
	}
	if len(cmds) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), b.cfg.NotifyTimeout)
	defer cancel()
	p := b.publishing.Pipeline()
	_ = p.BatchProcess(ctx, cmds...)
	_, _ = p.Exec(ctx) // every command holds its own error
	for _, it := range items {
		close(it.done)
	}
}
