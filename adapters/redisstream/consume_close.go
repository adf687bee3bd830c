package redisstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/dualstream/dualstream/durable"
)

const mostAcks = 1000 // ids of one acknowledgement

// acknowledge writes acks until the membership ends; Close writes the rest.
func (c *consumer) acknowledge() {
	wait := faultFirst
	for {
		select {
		case <-c.ackKick:
		case <-c.ctx.Done():
			return
		}
		if err := c.flush(c.ctx); err == nil {
			wait = faultFirst
			continue
		}
		poke(c.ackKick)
		if !c.pause(wait) {
			return
		}
		wait = min(2*wait, faultMost)
	}
}

// flush writes the acks that were accepted. Those of a stream that fails stay.
func (c *consumer) flush(ctx context.Context) error {
	var errs []error
	for _, a := range c.actives() {
		for {
			c.mu.Lock()
			n := min(len(a.acks), mostAcks)
			ids := append([]string(nil), a.acks[:n]...)
			c.mu.Unlock()
			if n == 0 {
				break
			}
			err := c.xack(ctx, a, ids)
			if err != nil && !noGroup(err) {
				errs = append(errs, fmt.Errorf("redisstream: acknowledge in %q: %w", a.topic, unavailable(err)))
				break
			}
			c.acked(a, ids)
		}
	}
	return errors.Join(errs...)
}

func (c *consumer) xack(ctx context.Context, a active, ids []string) error {
	return c.control.XAck(ctx, a.key, c.group.Name, ids...).Err()
}

// acked forgets ids, the first acks of a, unless the claim changed meanwhile.
func (c *consumer) acked(a active, ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.stream.claim != a.claim {
		return
	}
	for _, id := range ids {
		delete(a.held, id)
	}
	a.acks = a.acks[len(ids):]
}

// Close implements durable.Consumer.
func (c *consumer) Close(ctx context.Context) error {
	c.leave.Do(func() {
		c.cancel()
		go c.handOver() // bounded by handOverTime
	})
	select {
	case <-c.left:
		return c.leaveErr
	case <-ctx.Done():
		return fmt.Errorf("redisstream: close: %w", ctx.Err())
	}
}

// handOver writes the acks, gives the rest to others and leaves.
func (c *consumer) handOver() {
	defer close(c.left)
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	c.work.Wait()
	_ = c.blocking.Close()
	errs := []error{c.flush(ctx)}
	unstarted := c.unstarted()
	c.mu.Lock()
	streams := append([]*stream(nil), c.streams...)
	for _, s := range streams {
		c.lose(s, durable.ErrClosed)
	}
	c.mu.Unlock()
	for _, s := range streams {
		args := append([]any{c.group.Name, c.group.Member, 2 * c.b.claimIdle().Milliseconds()}, unstarted[s]...)
		err := leaveScript.Run(ctx, c.control, []string{s.key}, args...).Err()
		if err != nil && !strings.Contains(err.Error(), "NOGROUP") {
			errs = append(errs, fmt.Errorf("redisstream: leave group %q of %q: %w", c.group.Name, s.topic, unavailable(err)))
		}
	}
	c.leaveErr = errors.Join(errs...)
	c.b.exit(c)
}

// unstarted is, by stream, id and delivery count of what was read and never fetched.
func (c *consumer) unstarted() map[*stream][]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[*stream][]any{}
	for more := true; more; {
		for _, d := range c.rest {
			if s := c.byClaim[d.Claim]; s != nil {
				out[s] = append(out[s], entryID(d.Position), d.Attempt-1)
			}
		}
		c.rest = nil
		select {
		case c.rest = <-c.batches:
		default:
			more = false
		}
	}
	return out
}

// members is the consumers of a backend.
type members struct {
	mu     sync.Mutex
	open   map[durable.Consumer]struct{}
	closed bool
}

// enter registers c; false after the backend began to close.
func (b *Backend) enter(c durable.Consumer) bool {
	b.members.mu.Lock()
	defer b.members.mu.Unlock()
	if b.members.closed {
		return false
	}
	if b.members.open == nil {
		b.members.open = map[durable.Consumer]struct{}{}
	}
	b.members.open[c] = struct{}{}
	return true
}

func (b *Backend) exit(c durable.Consumer) {
	b.members.mu.Lock()
	defer b.members.mu.Unlock()
	delete(b.members.open, c)
}

// closeMembers closes every consumer that is open, side by side.
func (b *Backend) closeMembers() error {
	b.members.mu.Lock()
	b.members.closed = true
	var open []durable.Consumer
	for c := range b.members.open {
		open = append(open, c)
	}
	b.members.mu.Unlock()
	errs := make([]error, len(open))
	var all sync.WaitGroup
	for i, c := range open {
		all.Go(func() { errs[i] = c.Close(context.Background()) }) // bounded by handOverTime
	}
	all.Wait()
	return errors.Join(errs...)
}

func (b *Backend) logger() *slog.Logger {
	if b.cfg.Logger != nil {
		return b.cfg.Logger
	}
	return slog.Default()
}
