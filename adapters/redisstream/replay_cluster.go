package redisstream

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
)

// waits are the reads that wait for new entries in a cluster, where a command reads from one slot: one for each
// partition that has none yet. They end with the client.
type waits struct {
	work sync.WaitGroup
	over chan *stretch     // room for every partition
	on   map[*stretch]bool // waiting now; the replay's

	mu     sync.Mutex
	failed error // the first
}

// end waits for the reads, whose client is closed.
func (w *waits) end() { w.work.Wait() }

// awaitEach blocks until a partition may have more, or a read of one is over.
func (r *replay) awaitEach(ctx context.Context) error {
	w := &r.waits
	if w.over == nil {
		w.over, w.on = make(chan *stretch, len(r.parts)), make(map[*stretch]bool, len(r.parts))
	}
	for _, s := range r.parts {
		if !w.on[s] {
			w.on[s] = true
			from := s.after
			w.work.Go(func() { r.awaitOne(s, from) })
		}
	}
	select {
	case s := <-w.over:
		delete(w.on, s)
	case <-ctx.Done():
		return ctx.Err()
	case <-r.b.stop:
		return errors.New("closed") // cause tells
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// awaitOne waits behind from on the server.
func (r *replay) awaitOne(s *stretch, from string) {
	err := r.client.XRead(context.Background(), &redis.XReadArgs{
		Streams: []string{s.key, from}, Count: 1, Block: rediskit.MaxBlock,
	}).Err()
	w := &r.waits
	if err != nil && !errors.Is(err, redis.Nil) {
		w.mu.Lock()
		if w.failed == nil {
			w.failed = err
		}
		w.mu.Unlock()
	}
	w.over <- s
}
