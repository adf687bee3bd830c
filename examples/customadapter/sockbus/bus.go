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

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/realtime"
)

const patience = 100 * time.Millisecond // with a process that does not read

// Settings are the keys of the section realtime.sockbus of a configuration file.
type Settings struct {
	Dir string `yaml:"dir"` // where the sockets are, at most 90 bytes; it is made
}

// Bus implements realtime.Backend. Subscriptions and Health are those of the embedded bus of this process.
type Bus struct {
	*memory.Realtime
	conn   *net.UnixConn
	reader sync.WaitGroup
	mu     sync.Mutex // one Notify at a time, which patience bounds, so that numbers arrive in order
	sent   uint64     // notifications so far
}

// Open binds a socket in the directory.
func Open(s Settings) (*Bus, error) {
	local, err := memory.NewRealtime(memory.RealtimeConfig{})
	if err = errors.Join(err, os.MkdirAll(s.Dir, 0o750)); err != nil {
		return nil, err
	}
	b := &Bus{Realtime: local}
	name := &net.UnixAddr{Name: filepath.Join(s.Dir, rand.Text()[:12]), Net: "unixgram"}
	if b.conn, err = net.ListenUnixgram("unixgram", name); err != nil {
		return nil, err
	}
	b.reader.Go(b.read)
	return b, nil
}

// Capabilities implements realtime.Backend.
func (b *Bus) Capabilities() realtime.Capabilities {
	return realtime.Capabilities{Backend: "sockbus", Patterns: true, MaxNotification: realtime.MaxSize}
}

// Notify implements realtime.Backend.
func (b *Bus) Notify(ctx context.Context, ns ...realtime.Notification) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := errors.Join(b.Health(ctx), ctx.Err(), realtime.CheckNotify(ns)); err != nil {
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
	err := b.conn.SetWriteDeadline(time.Now().Add(patience))
	for i := 0; i < len(ns) && err == nil; i++ {
		data := append(binary.BigEndian.AppendUint64(nil, b.sent+uint64(i)), ns[i].Channel+"\n"...)
		_, err = b.conn.WriteToUnix(ns[i].AppendJSON(data), peer)
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		_ = os.Remove(peer.Name) // its process was killed
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
			_ = b.Realtime.Notify(context.Background(), n) // fails after Close only
		}
	}
}

// Close implements realtime.Backend. It removes the socket.
func (b *Bus) Close(ctx context.Context) error {
	err := b.conn.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	b.reader.Wait()
	return errors.Join(err, b.Realtime.Close(ctx))
}
