package redisdedupe

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

const (
	mostPerPipeline = 1000 // commands; a larger call is one pipeline of its own
	handled         = "+"  // what a key holds whose event was handled

	extend  = "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('PEXPIRE',KEYS[1],ARGV[2]) end return 0"
	release = "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0"
)

// The states of a call.
const (
	waiting int32 = iota
	taken         // a writer has it
	dropped       // its caller left before a writer took it
)

// call is one batch on its way to a writer.
type call struct {
	state atomic.Int32
	cmds  []redis.Cmder
	done  chan struct{} // closed when cmds hold their results
}

// Reserve implements middleware.DedupeStore: one round trip, and a second one where it extends leases.
func (s *Store) Reserve(ctx context.Context, rs []middleware.Reservation) error {
	if len(rs) == 0 {
		return nil
	}
	cmds := make([]redis.Cmder, len(rs))
	for i := range rs {
		r := &rs[i]
		cmds[i] = redis.NewStringCmd(context.Background(), "set", s.prefix+r.Key, r.Token, "nx", "get", "px", ms(r.Lease))
	}
	if err := s.send(ctx, cmds); err != nil {
		return fmt.Errorf("redisdedupe: reserve %d keys: %w", len(rs), err)
	}
	var own []int
	for i, cmd := range cmds {
		value, err := cmd.(*redis.StringCmd).Result()
		switch {
		case errors.Is(err, redis.Nil):
			rs[i].State = middleware.DedupeReserved
		case value == handled:
			rs[i].State = middleware.DedupeHandled
		case value == strconv.FormatUint(rs[i].Token, 10):
			own = append(own, i)
		default:
			rs[i].State = middleware.DedupeBusy
		}
	}
	if own == nil {
		return nil
	}
	return s.extend(ctx, rs, own)
}

// extend gives the reservations at own their lease anew.
func (s *Store) extend(ctx context.Context, rs []middleware.Reservation, own []int) error {
	cmds := make([]redis.Cmder, len(own))
	for k, i := range own {
		cmds[k] = redis.NewIntCmd(context.Background(), "eval", extend, 1, s.prefix+rs[i].Key, rs[i].Token, ms(rs[i].Lease))
	}
	if err := s.send(ctx, cmds); err != nil {
		return fmt.Errorf("redisdedupe: extend %d leases: %w", len(own), err)
	}
	for k, i := range own {
		rs[i].State = middleware.DedupeReserved
		if cmds[k].(*redis.IntCmd).Val() == 0 { // it ended in between
			rs[i].State = middleware.DedupeBusy
		}
	}
	return nil
}

// Settle implements middleware.DedupeStore in one round trip.
func (s *Store) Settle(ctx context.Context, ss []middleware.Settlement) error {
	if len(ss) == 0 {
		return nil
	}
	cmds := make([]redis.Cmder, len(ss))
	for i := range ss {
		key := s.prefix + ss[i].Key
		if ss[i].Keep > 0 {
			cmds[i] = redis.NewStatusCmd(context.Background(), "set", key, handled, "px", ms(ss[i].Keep))
		} else {
			cmds[i] = redis.NewIntCmd(context.Background(), "eval", release, 1, key, ss[i].Token)
		}
	}
	if err := s.send(ctx, cmds); err != nil {
		return fmt.Errorf("redisdedupe: settle %d keys: %w", len(ss), err)
	}
	return nil
}

// ms is d in milliseconds, at least 1.
func ms(d time.Duration) int64 { return max(d.Milliseconds(), 1) }

// send has a writer send cmds and waits for their results. The end of ctx ends the waiting, not a pipeline on its way.
func (s *Store) send(ctx context.Context, cmds []redis.Cmder) error {
	if s.closed() {
		return durable.ErrClosed
	}
	c := &call{cmds: cmds, done: make(chan struct{})}
	select {
	case s.queue <- c:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.stop:
		return durable.ErrClosed
	}
	select {
	case <-c.done:
		return c.outcome()
	case <-ctx.Done():
		c.state.CompareAndSwap(waiting, dropped)
		return context.Cause(ctx)
	case <-s.stopped: // the writers ended before the call was queued, or it is done
		if c.state.CompareAndSwap(waiting, dropped) {
			return durable.ErrClosed
		}
		<-c.done
		return c.outcome()
	}
}

// outcome is the first error.
func (c *call) outcome() error {
	for _, cmd := range c.cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("%w: %w", durable.ErrUnavailable, err)
		}
	}
	return nil
}

// write sends what waits in one pipeline, until the store is closed and nothing waits.
func (s *Store) write() {
	for {
		select {
		case c := <-s.queue:
			s.pipeline(c)
		case <-s.stop:
			select {
			case c := <-s.queue:
				s.pipeline(c)
			default:
				return
			}
		}
	}
}

// pipeline sends first and whatever else waits now.
func (s *Store) pipeline(first *call) {
	calls, cmds := make([]*call, 0, 16), make([]redis.Cmder, 0, max(len(first.cmds), 16))
	for c := first; c != nil; {
		if c.state.CompareAndSwap(waiting, taken) {
			calls, cmds = append(calls, c), append(cmds, c.cmds...)
		}
		c = nil
		if len(cmds) < mostPerPipeline {
			select {
			case c = <-s.queue:
			default:
			}
		}
	}
	if len(cmds) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	p := s.client.Pipeline()
	_ = p.BatchProcess(ctx, cmds...)
	_, _ = p.Exec(ctx) // every command holds its own error
	for _, c := range calls {
		close(c.done)
	}
}
