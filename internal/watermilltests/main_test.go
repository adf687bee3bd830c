package watermilltests

import (
	"fmt"
	"io"
	"net"
	"os"
	"testing"
)

// restartVerb makes the test binary ask the test that listens at the next argument to restart its server.
const restartVerb = "restart-the-server"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == restartVerb {
		if err := askForRestart(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// askForRestart returns once the server runs again.
func askForRestart(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = io.ReadFull(conn, make([]byte, 1))
	return err
}

// restarter is a command that runs restart in this process, for what only knows how to run commands.
func restarter(t *testing.T, restart func()) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			restart()
			_, _ = conn.Write([]byte{1})
			_ = conn.Close()
		}
	}()
	return []string{self, restartVerb, l.Addr().String()}
}
