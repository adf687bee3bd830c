package redisstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/dualstream/dualstream/durable"
)

const (
	defaultClaimIdle = time.Minute
	defaultLeaseTTL  = 10 * time.Second
	readCount        = 500                    // entries of one read
	prefetched       = 2                      // batches that wait for Fetch
	readBlock        = 250 * time.Millisecond // how long a read waits on the server; Close waits as long
	handOverTime     = 10 * time.Second       // bound of the hand-over when the caller of Close has none
	faultFirst       = 100 * time.Millisecond // pause after a fault
	faultMost        = 5 * time.Second        // the longest pause after faults in a row
)

// Consume implements durable.Backend.
//
// Ordering PerKey spreads the partitions over the members; each is owned by one of them under a lease of
// Config.LeaseTTL, with whose token commits are fenced. Ordering None lets members compete; what a member that died
// held goes to the others after Config.ClaimIdle. A group has one ordering: another one is ErrOrdering.
func (b *Backend) Consume(ctx context.Context, g durable.Group) (durable.Consumer, error) {
	if b.closed() {
		return nil, fmt.Errorf("redisstream: %w", durable.ErrClosed)
	}
	if err := durable.CheckGroup(g); err != nil {
		return nil, fmt.Errorf("redisstream: %w", err)
	}
	if g.Ordering == durable.PerKey {
		return b.consumeOrdered(ctx, g)
	}
	return b.compete(ctx, g)
}

func (b *Backend) claimIdle() time.Duration {
	if b.cfg.ClaimIdle > 0 {
		return b.cfg.ClaimIdle
	}
	return defaultClaimIdle
}

func (b *Backend) leaseTTL() time.Duration {
	if b.cfg.LeaseTTL > 0 {
		return b.cfg.LeaseTTL
	}
	return defaultLeaseTTL
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

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
