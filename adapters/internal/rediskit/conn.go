package rediskit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

const handshakeBuffer = 1 << 10 // bytes; only the handshake passes through the client library's buffers

// Conn is a connection that the client library has made, secured and been let in on as the settings say. Its bytes
// are the caller's: what is written are encoded commands, what is read are replies in RESP2.
type Conn struct {
	net.Conn
	client *redis.Client
}

// errAgain is what the client library gets when it dials once more: the connection that it was given has ended.
var errAgain = errors.New("the connection ended during the handshake")

// Dial connects. It takes at most DialTimeout and Timeout.
func (c Config) Dial(ctx context.Context) (*Conn, error) { return c.dialTo(ctx, c.Addr) }

// dialTo is Dial to addr, unless sentinels are asked for it.
func (c Config) dialTo(ctx context.Context, addr string) (*Conn, error) {
	o := c.options(Appending)
	o.ReadBufferSize, o.WriteBufferSize = handshakeBuffer, handshakeBuffer
	o.PoolSize = 2 // of which one is used: after as many failures as that the library tries on in the background
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout+o.ReadTimeout)
	defer cancel()
	where := c.where()
	if c.Clustered() {
		where = addr
	}
	made, err := c.dialer(o)(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect to addr %q: %w", where, err)
	}
	var given atomic.Bool
	o.Dialer = quiet(func(context.Context, string, string) (net.Conn, error) {
		if given.Swap(true) {
			return nil, errAgain
		}
		return made, nil
	})
	client := redis.NewClient(o)
	if err := client.Ping(ctx).Err(); err != nil {
		_, _ = made.Close(), client.Close() // one of them may have closed it already
		return nil, fmt.Errorf("connect to addr %q: %w", where, err)
	}
	return &Conn{Conn: made, client: client}, nil
}

// Close closes the connection; a Read or Write that waits returns. The connection goes first: the client library would
// wait for the Read.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	_ = c.client.Close() // what it has to say is about the connection
	return err
}
