package redisstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/dualstream/dualstream/durable"
)

func isFenced(err error) bool { return strings.HasPrefix(err.Error(), "FENCED") }

// vanished tells the server's refusals for a group or a stream that does not exist.
func vanished(err error) bool {
	return noGroup(err) || strings.Contains(err.Error(), "requires the key to exist")
}

// Close implements durable.Consumer.
func (c *ordered) Close(ctx context.Context) error {
	c.leave.Do(func() {
		c.cancel()
		go c.depart() // bounded by a command and handOverTime
	})
	select {
	case <-c.left:
		return c.leaveErr
	case <-ctx.Done():
		return fmt.Errorf("redisstream: close: %w", ctx.Err())
	}
}

// depart commits, gives the leases up and leaves the members.
func (c *ordered) depart() {
	defer close(c.left)
	var calls []call
	c.mu.Lock()
	for _, p := range c.parts {
		if o := p.own; o != nil {
			calls = append(calls, c.endCall(o))
			c.lose(o, durable.ErrClosed)
		}
	}
	for s := range c.reading {
		s.Close() // cuts a read off, which takes nothing
	}
	c.mu.Unlock()
	c.work.Wait() // for a command that is on its way
	ctx, cancel := context.WithTimeout(context.Background(), handOverTime)
	defer cancel()
	calls = append(calls, c.loose()...)
	var hidden error
	var hiding sync.WaitGroup
	hiding.Go(func() { // it may be another node that stands still
		hidden = c.b.control.HDel(ctx, membersKey(c.group.Name), "m:"+c.id).Err()
	})
	var errs []error
	for i, cmd := range c.b.runAll(ctx, calls) {
		if err := cmd.Err(); err != nil {
			errs = append(errs, fmt.Errorf("redisstream: leave group %q at %q: %w", c.group.Name, calls[i].keys[0], passing(err)))
		}
	}
	if hiding.Wait(); hidden != nil {
		errs = append(errs, fmt.Errorf("redisstream: leave group %q: %w", c.group.Name, passing(hidden)))
	}
	c.leaveErr = errors.Join(errs...)
	c.b.exit(c)
}

// loose is what gives up the leases whose claims are over, and those that were asked for without an answer. The
// member's goroutines have ended.
func (c *ordered) loose() []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	var calls []call
	for _, p := range c.parts {
		if p.leaving != nil {
			calls = append(calls, c.endCall(p.leaving))
		}
		if p.token != "" {
			calls = append(calls, call{endScript, p.keys, []any{p.token, c.group.Name, "", -1, noJournal}})
		}
	}
	return calls
}
