package rediskit

import (
	"context"
	"net"
	"time"
)

// quiet has dial return a connection that fails with the error of dial, where that has one: the pools of the client
// library write a failed attempt to the standard error output, whoever logs it by other means.
func quiet(dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return failed{err}, nil
		}
		return conn, nil
	}
}

// failed is a connection that was never made.
type failed struct{ err error }

var _ net.Conn = failed{}

// Read returns the error.
func (f failed) Read([]byte) (int, error) { return 0, f.err }

// Write returns the error.
func (f failed) Write([]byte) (int, error) { return 0, f.err }

// Close does nothing.
func (failed) Close() error { return nil }

// LocalAddr is no address.
func (failed) LocalAddr() net.Addr { return &net.TCPAddr{} }

// RemoteAddr is no address.
func (failed) RemoteAddr() net.Addr { return &net.TCPAddr{} }

// SetDeadline does nothing.
func (failed) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (failed) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (failed) SetWriteDeadline(time.Time) error { return nil }
