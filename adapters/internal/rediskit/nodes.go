package rediskit

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

// NodeOf is the address of the master of the cluster that has the slot of key. c is Ready.
func (c Config) NodeOf(ctx context.Context, key string) (string, error) {
	return c.shared.master(ctx, Slot(key))
}

// Look asks the cluster who has what, unless that was just done. c is Ready.
func (c Config) Look(ctx context.Context) error { return c.shared.look(ctx) }

// Moved tells whether err is the refusal of the node at from because another one has the slot, which is noted if it is
// for good. c is Ready.
func (c Config) Moved(err error, from string) bool {
	var refused redis.Error
	if !errors.As(err, &refused) {
		return false
	}
	addr, slot, ask, ok := redirect(refused.Error(), from)
	if ok && !ask {
		c.shared.moved(slot, addr)
	}
	return ok
}

// ClientTo returns a new client of role Control for the node of the cluster at addr; the caller closes it.
func (c Config) ClientTo(addr string) *redis.Client {
	o := c.options(Control)
	o.Addr = addr
	return redis.NewClient(o)
}

// NewWriterToAny returns a Writer to one node of the cluster, whichever answers, for commands without a key. c is Ready.
func (c Config) NewWriterToAny(timeout time.Duration) *Writer {
	c.Timeout = timeout
	return NewWriter(WriterOptions{Timeout: timeout, Dial: func(ctx context.Context) (net.Conn, error) {
		_ = c.shared.look(ctx) // else those that the settings name are tried
		var errs []error
		for _, addr := range c.shared.candidates() {
			conn, err := c.dialTo(ctx, addr)
			if err == nil {
				return conn, nil
			}
			errs = append(errs, err)
		}
		return nil, errors.Join(errs...)
	}})
}
