package dual_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// front is a server of the protocol of Redis before another: it passes everything on, until it is told to refuse what
// is to be published, as servers do whose rules for PUBLISH are those of a write.
type front struct {
	listener net.Listener
	upstream string
	refusal  atomic.Pointer[string]
	wg       sync.WaitGroup
	stop     context.CancelFunc
}

func newFront(t *testing.T, upstream string) *front {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &front{listener: l, upstream: upstream, stop: stop}
	f.refuse("")
	f.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			f.wg.Go(func() { f.serve(ctx, client) })
		}
	})
	t.Cleanup(func() {
		stop()
		_ = l.Close()
		f.wg.Wait()
	})
	return f
}

func (f *front) addr() string { return f.listener.Addr().String() }

// refuse has PUBLISH answered by an error from now on; "": by the server again.
func (f *front) refuse(text string) { f.refusal.Store(&text) }

// serve passes on what client sends and what the server replies, until one of them leaves. It is made for clients that
// send one kind of command at a time: a refusal may overtake a reply that is under way.
func (f *front) serve(ctx context.Context, client net.Conn) {
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", f.upstream)
	if err != nil {
		_ = client.Close()
		return
	}
	hangUp := func() { _, _ = client.Close(), server.Close() }
	defer context.AfterFunc(ctx, hangUp)()
	defer hangUp()
	f.wg.Go(func() {
		defer hangUp()
		_, _ = io.Copy(client, server)
	})
	in := bufio.NewReader(client)
	for {
		raw, name, err := command(in)
		if err != nil {
			return
		}
		to, text := server, raw
		if refusal := *f.refusal.Load(); refusal != "" && strings.EqualFold(name, "publish") {
			to, text = client, "-"+refusal+"\r\n"
		}
		if _, err := io.WriteString(to, text); err != nil {
			return
		}
	}
}

// command reads a command, as it is on the wire, and its name.
func command(in *bufio.Reader) (raw, name string, err error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", "", err
	}
	words, err := strconv.Atoi(strings.TrimSpace(line[1:]))
	if err != nil {
		return "", "", fmt.Errorf("a command that begins with %q: %w", line, err)
	}
	raw = line
	for i := range words {
		if line, err = in.ReadString('\n'); err != nil {
			return "", "", err
		}
		size, err := strconv.Atoi(strings.TrimSpace(line[1:]))
		if err != nil {
			return "", "", fmt.Errorf("a word that begins with %q: %w", line, err)
		}
		word := make([]byte, size+2) // with the end of the line
		if _, err := io.ReadFull(in, word); err != nil {
			return "", "", err
		}
		if i == 0 {
			name = string(word[:size])
		}
		raw += line + string(word)
	}
	return raw, name, nil
}
