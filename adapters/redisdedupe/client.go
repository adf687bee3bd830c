package redisdedupe

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

const (
	writers         = 2    // pipelines in flight
	mostWaiting     = 1024 // calls that wait for a writer; more wait at the door
	mostPerPipeline = 1000 // commands; a larger call is one pipeline of its own
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

// shared is a transport over a client of the caller's, such as that of a cluster, whose library sends every command to
// where its key is.
type shared struct {
	client  redis.UniversalClient
	timeout time.Duration
	queue   chan *call
	stop    chan struct{} // closed when close begins
	stopped chan struct{} // closed when the writers have ended
	work    sync.WaitGroup
}

func newShared(client redis.UniversalClient, timeout time.Duration) *shared {
	s := &shared{
		client: client, timeout: timeout,
		queue: make(chan *call, mostWaiting), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	for range writers {
		s.work.Go(s.write)
	}
	return s
}

// close sends what waits. It is called once.
func (s *shared) close() {
	close(s.stop)
	s.work.Wait()
	close(s.stopped)
}

func (s *shared) ping(ctx context.Context) error { return s.client.Ping(ctx).Err() }

func (s *shared) reserve(ctx context.Context, prefix string, rs []middleware.Reservation) (own []int, err error) {
	cmds := make([]redis.Cmder, len(rs))
	for i := range rs {
		r := &rs[i]
		cmds[i] = redis.NewStringCmd(context.Background(), "set", prefix+r.Key, r.Token, "nx", "get", "px", ms(r.Lease))
	}
	if err := s.send(ctx, cmds); err != nil {
		return nil, err
	}
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
	return own, nil
}

func (s *shared) extend(ctx context.Context, prefix string, rs []middleware.Reservation, own []int) error {
	cmds := make([]redis.Cmder, len(own))
	for k, i := range own {
		cmds[k] = redis.NewIntCmd(context.Background(), "eval", extend, 1, prefix+rs[i].Key, rs[i].Token, ms(rs[i].Lease))
	}
	if err := s.send(ctx, cmds); err != nil {
		return err
	}
	for k, i := range own {
		rs[i].State = extended(cmds[k].(*redis.IntCmd).Val())
	}
	return nil
}

func (s *shared) settle(ctx context.Context, prefix string, ss []middleware.Settlement) error {
	cmds := make([]redis.Cmder, len(ss))
	for i := range ss {
		key := prefix + ss[i].Key
		if ss[i].Keep > 0 {
			cmds[i] = redis.NewStatusCmd(context.Background(), "set", key, handled, "px", ms(ss[i].Keep))
		} else {
			cmds[i] = redis.NewIntCmd(context.Background(), "eval", release, 1, key, ss[i].Token)
		}
	}
	return s.send(ctx, cmds)
}

// send has a writer send cmds and waits for their results. The end of ctx ends the waiting, not a pipeline on its way.
func (s *shared) send(ctx context.Context, cmds []redis.Cmder) error {
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
			return down(err)
		}
	}
	return nil
}

// write sends what waits in one pipeline, until close and nothing waits.
func (s *shared) write() {
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
func (s *shared) pipeline(first *call) {
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
