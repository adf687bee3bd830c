package kafka

import (
	"context"
	"net"
	"slices"
	"sync"
	"syscall"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/adapters/internal/settings"
)

// dialer knows the connections of a backend, all of its clients together, so that they can be cut: sarama takes no
// context, and waits for a broker that does not answer until its own timeouts are over.
type dialer struct {
	life context.Context
	end  context.CancelCauseFunc

	mu    sync.Mutex
	isCut error
	conns []net.Conn
}

func newDialer() *dialer {
	d := &dialer{}
	d.life, d.end = context.WithCancelCause(context.Background())
	return d
}

// cut closes all connections and refuses new ones for the reason err.
func (d *dialer) cut(err error) {
	d.end(err)
	d.mu.Lock()
	conns := d.conns
	d.isCut, d.conns = err, nil
	d.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // most are closed already
	}
}

// add takes c into account, or closes it where connections have been cut.
func (d *dialer) add(c net.Conn) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isCut != nil {
		_ = c.Close()
		return nil, d.isCut
	}
	d.conns = append(slices.DeleteFunc(d.conns, isClosed), c)
	return c, nil
}

// isClosed tells whether c was closed on this side.
func isClosed(c net.Conn) bool {
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	return err != nil || raw.Control(func(uintptr) {}) != nil
}

// use makes clients with the configuration dial through d, which uses the dialer that the configuration had. It may be
// called again where the timeouts have changed, which a dialer that the program brought does not heed.
func (d *dialer) use(s *sarama.Config) {
	via := dialVia{d: d}
	if p := s.Net.Proxy; p.Enable {
		switch before := p.Dialer.(type) {
		case nil:
		case dialVia:
			via = before
		case tlsDialer:
			via.files = before.files
		default:
			via.foreign = before
		}
	}
	plain := &net.Dialer{Timeout: s.Net.DialTimeout, KeepAlive: s.Net.KeepAlive, LocalAddr: s.Net.LocalAddr}
	switch {
	case via.foreign != nil:
		via.dial = func(_ context.Context, network, addr string) (net.Conn, error) {
			return via.foreign.Dial(network, addr)
		}
	case via.files != nil:
		via.dial = tlsDialer{plain: plain, files: via.files}.DialContext
	default:
		via.dial = plain.DialContext
	}
	s.Net.Proxy.Enable, s.Net.Proxy.Dialer = true, via
}

// plainDialer is what sarama takes for a dialer.
type plainDialer interface {
	Dial(network, addr string) (net.Conn, error)
}

// dialVia is what sarama calls.
type dialVia struct {
	d       *dialer
	foreign plainDialer     // the program's; nil: there is none
	files   *settings.Files // of TLS; nil: sarama does that, if anybody
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Dial connects to addr.
func (v dialVia) Dial(network, addr string) (net.Conn, error) {
	c, err := v.dial(v.d.life, network, addr)
	if err != nil {
		return nil, err
	}
	return v.d.add(c)
}
