package rediskit

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// mostRounds is how often a command follows refusals that name another node.
const mostRounds = 8

// Sender sends batches: a Writer, or one to each master of a cluster.
type Sender interface {
	// Send sends b and waits for its replies or the end of ctx. The error says why b was not answered.
	Send(ctx context.Context, b *Batch) (Fate, error)
	// Close sends what waits, within the timeout, and ends the connections.
	Close()
}

var (
	_ Sender = (*Writer)(nil)
	_ Sender = (*fleet)(nil)
)

// fleet has a Writer to each master of a cluster. Every command goes to where its key is; commands of one slot keep
// their order. What a node refuses because another one has the slot goes there; nothing else is sent again.
type fleet struct {
	c Config
	t *topology
	o WriterOptions // of every writer, but for Dial

	mu      sync.Mutex
	writers map[string]*Writer
	closed  bool
	retired sync.WaitGroup // writers to nodes that left the cluster
}

func newFleet(c Config, o WriterOptions) *fleet {
	return &fleet{c: c, t: c.shared, o: o, writers: map[string]*Writer{}}
}

// writer is that to addr.
func (f *fleet) writer(addr string) (*Writer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrStopped
	}
	w := f.writers[addr]
	if w == nil {
		o := f.o
		o.Dial = func(ctx context.Context) (net.Conn, error) { return f.c.dialTo(ctx, addr) }
		w = NewWriter(o)
		f.writers[addr] = w
		f.retire(addr)
	}
	return w, nil
}

// retire closes writers to nodes that left the cluster, when one to but is new. The caller holds mu.
func (f *fleet) retire(but string) {
	for addr, w := range f.writers {
		if addr != but && !f.t.has(addr) {
			delete(f.writers, addr)
			f.retired.Go(w.Close)
		}
	}
}

// Close implements Sender.
func (f *fleet) Close() {
	f.mu.Lock()
	f.closed = true
	writers := f.writers
	f.writers = nil
	f.mu.Unlock()
	var all sync.WaitGroup
	for _, w := range writers {
		all.Go(w.Close)
	}
	all.Wait()
	f.retired.Wait()
}

func (f *fleet) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// Send implements Sender. Of a batch that went to several nodes, a command that was not sent or whose reply did not
// come has a reply that Reply.Err reads as a *LostError.
func (f *fleet) Send(ctx context.Context, b *Batch) (Fate, error) {
	todo, err := errands(b.Wire, b.N)
	if err != nil {
		return NotSent, err
	}
	j := journey{f: f, b: b, all: todo, todo: make([]*errand, len(todo))}
	for i := range todo {
		j.todo[i] = &todo[i]
	}
	for round := 0; len(j.todo) > 0; round++ {
		if round == mostRounds {
			j.giveUp(errors.New("the slot moves on and on"))
			break
		}
		if round > 1 && !pause(ctx, time.Duration(round)*lookApart) {
			j.giveUp(ctx.Err())
			break
		}
		if fate, err := j.round(ctx, round); err != nil {
			return fate, err
		}
	}
	return j.finish()
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
