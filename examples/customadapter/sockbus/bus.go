// Package sockbus is a real-time bus between the processes of a Unix machine, without a server: each of them binds a
// datagram socket in one directory and sends to all that are there.
package sockbus

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dualstream/dualstream/realtime"
)

// Settings are the keys of the section realtime.sockbus of a configuration file.
type Settings struct {
	Dir string `yaml:"dir"` // where the sockets are, at most 90 bytes; it is made
}

// Bus implements realtime.Backend. Its Table has the subscriptions of this process.
type Bus struct {
	*realtime.Table
	conn   *net.UnixConn
	reader sync.WaitGroup
	mu     sync.Mutex // one Notify at a time, so that numbers arrive in order
	sent   uint64
}

// Open binds a socket in the directory.
func Open(s Settings) (*Bus, error) {
	_ = os.MkdirAll(s.Dir, 0o750) // without it the next call fails
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(s.Dir, rand.Text()[:12]), Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	b := &Bus{conn: conn, Table: realtime.NewTable(realtime.Capabilities{Backend: "sockbus", Patterns: true, MaxNotification: realtime.MaxSize}, 0)}
	b.reader.Go(b.read)
	return b, nil
}

// Notify implements realtime.Backend.
func (b *Bus) Notify(ctx context.Context, ns ...realtime.Notification) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.Check(ctx, ns); err != nil {
		return err
	}
	peers, err := filepath.Glob(filepath.Join(filepath.Dir(b.conn.LocalAddr().String()), "*"))
	for _, peer := range peers {
		b.send(&net.UnixAddr{Name: peer, Net: "unixgram"}, ns)
	}
	b.sent += uint64(len(ns))
	return err
}

// send gives up with a peer that has gone or does not read: when it reads again, the numbers tell that it missed some.
func (b *Bus) send(peer *net.UnixAddr, ns []realtime.Notification) {
	for i, err := 0, error(nil); i < len(ns) && err == nil; i++ {
		_ = b.conn.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)) // fails where the next call does
		head := append(binary.BigEndian.AppendUint64(nil, b.sent+uint64(i)), ns[i].Channel+"\n"...)
		if _, err = b.conn.WriteToUnix(ns[i].AppendJSON(head), peer); errors.Is(err, syscall.ECONNREFUSED) {
			_ = os.Remove(peer.Name) // its process was killed
		}
	}
}

// read hands out what arrives until Close.
func (b *Bus) read() {
	expected := map[string]uint64{} // the next number of each sender
	for buf := make([]byte, 4096); ; {
		size, from, err := b.conn.ReadFromUnix(buf)
		if err != nil {
			return
		}
		number := binary.BigEndian.Uint64(buf)
		if next, known := expected[from.Name]; known && number != next {
			b.Gap(realtime.GapOverflow)
		}
		expected[from.Name] = number + 1
		channel, text, _ := strings.Cut(string(buf[8:size]), "\n")
		if n, err := realtime.ParseNotification(channel, []byte(text)); err == nil {
			b.Put(n)
		}
	}
}

// Close implements realtime.Backend. It removes the socket.
func (b *Bus) Close(ctx context.Context) error {
	_ = b.conn.Close() // fails where it is closed already
	b.reader.Wait()
	return b.Table.Close(ctx)
}
