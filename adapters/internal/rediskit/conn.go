package rediskit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"
)

const handshakeBuffer = 1 << 10 // bytes; only the handshake passes through the client library's buffers

// Conn is a connection that the client library has made, secured and been let in on as the settings say. Its bytes
// are the caller's: what is written are encoded commands, what is read are replies in RESP2.
type Conn struct {
	net.Conn
	client *redis.Client
}

// errNoConn is a client library that dials otherwise than it was told.
var errNoConn = errors.New("the client library made no connection")

// Dial connects. It takes at most DialTimeout and Timeout.
func (c Config) Dial(ctx context.Context) (*Conn, error) {
	o := c.options(Appending)
	o.ReadBufferSize, o.WriteBufferSize = handshakeBuffer, handshakeBuffer
	o.PoolSize = 2 // of which one is used: after as many failures as that the library tries on in the background
	dial := redis.NewDialer(o)
	var mu sync.Mutex
	var last net.Conn
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		made, err := dial(ctx, network, addr)
		mu.Lock()
		defer mu.Unlock()
		last = made
		return made, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout+o.ReadTimeout)
	defer cancel()
	client := redis.NewClient(o)
	err := client.Ping(ctx).Err()
	mu.Lock()
	defer mu.Unlock()
	if err == nil && last == nil {
		err = errNoConn
	}
	if err != nil {
		_ = client.Close()
		return nil, fmt.Errorf("connect to addr %q: %w", c.Addr, err)
	}
	return &Conn{Conn: last, client: client}, nil
}

// Close closes the connection; a Read or Write that waits returns. The connection goes first: the client library would
// wait for the Read.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	_ = c.client.Close() // what it has to say is about the connection
	return err
}
