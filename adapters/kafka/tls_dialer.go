package kafka

import (
	"context"
	"crypto/tls"
	"net"
	"syscall"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/adapters/internal/settings"
)

// secure has the connections of clients with the configuration secured by what the files hold at that moment, where
// sarama would go on with what they held at the beginning.
func (c Config) secure(s *sarama.Config) {
	if s.Net.Proxy.Enable {
		return // what dials is the program's
	}
	s.Net.TLS.Enable, s.Net.TLS.Config = false, nil
	s.Net.Proxy.Enable, s.Net.Proxy.Dialer = true, tlsDialer{
		plain: &net.Dialer{Timeout: s.Net.DialTimeout, KeepAlive: s.Net.KeepAlive, LocalAddr: s.Net.LocalAddr}, files: c.files,
	}
}

// tlsDialer makes TLS connections.
type tlsDialer struct {
	plain *net.Dialer
	files *settings.Files
}

// Dial is DialContext without a context.
func (d tlsDialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

// DialContext connects to addr within the timeout of the plain dialer, the handshake included.
func (d tlsDialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	secured := &tls.Dialer{NetDialer: d.plain, Config: d.files.Config()}
	conn, err := secured.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return tlsConn{conn.(*tls.Conn)}, nil
}

// tlsConn shows the connection beneath, by which the backend knows that it is closed.
type tlsConn struct{ *tls.Conn }

// SyscallConn implements syscall.Conn.
func (c tlsConn) SyscallConn() (syscall.RawConn, error) {
	return c.NetConn().(syscall.Conn).SyscallConn()
}
