package watermillredisstream

import (
	"net"
	"testing"
	"time"

	"github.com/dualstream/dualstream/internal/testenv"
)

// slowServer takes connections and answers none of them until end; asked is sent to for each.
func slowServer(t *testing.T) (addr string, asked <-chan struct{}, end func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	began := make(chan struct{}, 16) // more than there are connections
	served := make(chan struct{})
	go func() {
		defer close(served)
		var conns []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			conns = append(conns, c)
			began <- struct{}{}
		}
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	end = func() {
		_ = l.Close()
		<-served
	}
	t.Cleanup(end)
	return l.Addr().String(), began, end
}

func TestCloseDoesNotWaitForEverForACommandThatMakesItsConnection(t *testing.T) {
	addr, asked, end := slowServer(t)
	c := newClient(Config{Addrs: []string{addr}})
	ended := make(chan error, 1)
	go func() { ended <- c.Ping(t.Context()).Err() }()
	<-asked
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	testenv.Await(t, time.Minute, func() bool {
		if c.running.TryRLock() {
			c.running.RUnlock()
			return false
		}
		return true
	}, "Close has come in between")
	end()
	for name, done := range map[string]chan error{"the command": ended, "Close": closed} {
		select {
		case err := <-done:
			t.Logf("%s ended: %v", name, err)
		case <-time.After(time.Minute):
			t.Fatalf("%s does not end", name)
		}
	}
}
