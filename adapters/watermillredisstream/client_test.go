package watermillredisstream

import (
	"context"
	"net"
	"testing"
	"time"
)

// slowServer takes connections and answers none of them; asked is sent to for each.
func slowServer(t *testing.T) (addr string, asked <-chan struct{}) {
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
	t.Cleanup(func() {
		_ = l.Close()
		<-served
	})
	return l.Addr().String(), began
}

func TestCloseDoesNotWaitForEverForACommandThatMakesItsConnection(t *testing.T) {
	addr, asked := slowServer(t)
	c := newClient(Config{Addrs: []string{addr}})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.Ping(ctx).Err() }()
	<-asked
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	for name, done := range map[string]chan error{"the command": ended, "Close": closed} {
		select {
		case err := <-done:
			t.Logf("%s ended: %v", name, err)
		case <-time.After(20 * time.Second):
			t.Fatalf("%s does not end", name)
		}
	}
}
