package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/dualstream/dualstream/durable"
)

// Close implements durable.Consumer. The context of the first call bounds the work, that of every call its own wait.
func (c *consumer) Close(ctx context.Context) error {
	c.shut.Do(func() {
		c.mu.Lock()
		c.closed = true
		for _, h := range c.held {
			c.beginDrain(h)
		}
		c.mu.Unlock()
		close(c.force)
		c.leave()
		poke(c.ready)
		go func() { // counted in b.wg since Consume
			c.shutErr = c.end(ctx)
			c.b.mu.Lock()
			delete(c.b.consumers, c)
			c.b.mu.Unlock()
			close(c.finished)
		}()
	})
	return closing(ctx, c.finished, &c.shutErr)
}

// closing waits for finished and returns err, or the end of ctx.
func closing(ctx context.Context, finished <-chan struct{}, err *error) error {
	select {
	case <-finished:
		return *err
	case <-ctx.Done():
	}
	select {
	case <-finished:
		return *err
	default:
		return context.Cause(ctx)
	}
}

// end leaves the group. What is still out goes to the next owner: who closes a member has stopped handling. What does
// not end within ctx ends in the background.
func (c *consumer) end(ctx context.Context) error {
	done := make(chan error, 1) // nobody may wait any more
	go func() {
		defer c.b.wg.Done()
		defer context.AfterFunc(ctx, c.seat.shut)()
		err := c.handIn() // before a join that is under way is ended: in its last part only its end lets commits in
		c.seat.interrupt()
		c.loops.Wait()
		c.guarded()
		if err != nil {
			err = c.handIn()
		}
		c.loseAll(durable.ErrClosed)
		err = errors.Join(err, patiently(c.severed, c.seat.leave))
		c.lose(durable.ErrClosed)
		c.seat.shut()
		done <- errors.Join(err, c.client.Close())
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("kafka: close the member of %q: %w", c.group.Name, translateStart(err))
		}
		return nil
	case <-ctx.Done():
		c.lose(durable.ErrClosed)
		return fmt.Errorf("kafka: close the member of %q: %w", c.group.Name, context.Cause(ctx))
	}
}

// handIn commits what is finished.
func (c *consumer) handIn() error {
	c.mu.Lock()
	all := append([]*held(nil), c.held...)
	c.mu.Unlock()
	if len(all) == 0 {
		return nil
	}
	return c.save(all)
}
