package kafka

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/dualstream/dualstream/adapters/internal/settings"
	"github.com/dualstream/dualstream/durable"
)

// fullHost is an address at which connections are neither taken nor refused: its backlog is full.
func fullHost(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	for range 8 { // nobody takes them: some fill the backlog, the others stay half open
		c, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Close(c) })
		if err := syscall.SetNonblock(c, true); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Connect(c, at); err != nil && !errors.Is(err, syscall.EINPROGRESS) {
			t.Fatal(err)
		}
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(at.(*syscall.SockaddrInet4).Port))
}

// offline is a client of which only the configuration is asked.
type offline struct {
	sarama.Client
	conf *sarama.Config
}

func (o offline) Config() *sarama.Config { return o.conf }

func TestAMemberGivesUpADialInTimeForItsSession(t *testing.T) {
	files, err := settings.TLS{Enabled: true}.Files()
	if err != nil {
		t.Fatal(err)
	}
	addr := fullHost(t)
	for name, of := range map[string]*settings.Files{"plain": nil, "by files of TLS": files} {
		cfg := Config{Brokers: []string{"b"}, SessionTimeout: 300 * time.Millisecond, DialTimeout: time.Hour, files: of}
		cfg.TLS = of.Config()
		cfg.filed = cfg.TLS
		cfg = cfg.filled()
		cfg.dialer = newDialer()
		s := newSeat(offline{conf: cfg.member(durable.Group{Name: "g"})}, durable.Group{Name: "g"}, cfg)
		if _, err := dial(addr, s.quick); err == nil { // without the timeout of its own it lasts until the test is ended
			t.Errorf("%s: there is a connection where none can be", name)
		}
	}
}

// counted is a dialer that a program brings.
type counted struct{ dials int }

func (c *counted) Dial(string, string) (net.Conn, error) { c.dials++; return nil, syscall.ECONNREFUSED }

func TestAMemberDialsThroughTheProxyOfTheProgram(t *testing.T) {
	own := &counted{}
	cfg := Config{Brokers: []string{"b"}, Sarama: func(c *sarama.Config) {
		c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, own
	}}.filled()
	cfg.dialer = newDialer()
	s := newSeat(offline{conf: cfg.member(durable.Group{Name: "g"})}, durable.Group{Name: "g"}, cfg)
	for _, conf := range []*sarama.Config{s.quick, s.slow} {
		if _, err := dial("broker:9092", conf); err == nil {
			t.Error("there is a connection where none can be")
		}
	}
	if own.dials != 2 {
		t.Errorf("%d connections went through the proxy, want 2", own.dials)
	}
}
