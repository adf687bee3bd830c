package watermillredisstream

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// client is one of a publisher's or subscriber's own: Watermill's close the client that they were given, a subscriber
// even while its reader waits for entries, which that takes for an error. Close waits for what runs.
type client struct {
	redis.UniversalClient
	running *sync.RWMutex // held for reading by every command of a caller
}

// commandTimeout is that of the package redisstream: what is not retried is given more time than the library does.
const commandTimeout = 5 * time.Second

// newClient dials nothing yet. It does not retry, because an XADD that timed out may have been done; what go-redis does in
// a cluster, where its following of slots is one with its retries, cannot be turned off. The addresses are copied: go-redis
// adds those that it learns to its slice.
func newClient(c Config) client {
	out := client{
		UniversalClient: redis.NewUniversalClient(&redis.UniversalOptions{
			Addrs: slices.Clone(c.Addrs), MasterName: c.Master, Username: c.Username, Password: c.Password, DB: c.DB, TLSConfig: c.TLS,
			MaxRetries: -1, ContextTimeoutEnabled: true, ReadTimeout: commandTimeout,
		}),
		running: &sync.RWMutex{},
	}
	out.AddHook(waiting{out.running})
	return out
}

// Close implements redis.UniversalClient.
func (c client) Close() error {
	c.running.Lock()
	defer c.running.Unlock()
	return c.UniversalClient.Close()
}

// waiting is the hook by which Close knows what runs.
type waiting struct{ running *sync.RWMutex }

// counted marks the context of a command that is counted already: those that make its connection are part of it. To wait
// for them, too, would be a deadlock with a Close that has come in between.
type counted struct{}

// begin counts a command until end is called.
func (w waiting) begin(ctx context.Context) (within context.Context, end func()) {
	if ctx.Value(counted{}) != nil {
		return ctx, func() {}
	}
	w.running.RLock()
	return context.WithValue(ctx, counted{}, true), w.running.RUnlock
}

// DialHook implements redis.Hook.
func (waiting) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements redis.Hook.
func (w waiting) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		ctx, end := w.begin(ctx)
		defer end()
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements redis.Hook.
func (w waiting) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		ctx, end := w.begin(ctx)
		defer end()
		return next(ctx, cmds)
	}
}
