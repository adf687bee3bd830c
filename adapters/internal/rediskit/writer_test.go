package rediskit

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestManyCallersShareAConnection(t *testing.T) {
	c := Config{Addr: testenv.Redis(t)}
	key := testenv.Name(t, "n")
	w := c.NewWriter(5*time.Second, nil)
	defer w.Close()
	var callers sync.WaitGroup
	for range 32 {
		callers.Go(func() {
			for range 20 {
				b := NewBatch(AppendCommand(AppendCommand(nil, "incr", key), "lrange", key, "0", "1"), 2)
				fate, err := w.Send(t.Context(), b)
				replies, got := b.Replies()
				if fate != Answered || err != nil || got != 2 || replies.Int() < 1 || replies.Bad() {
					t.Errorf("got fate %d, %v and %d replies, want a number", fate, err, got)
				}
				if err := replies.Err(); err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE") {
					t.Errorf("got %v, want WRONGTYPE", err)
				}
			}
		})
	}
	callers.Wait()
	client := c.Client(Control)
	defer func() { _ = client.Close() }()
	if n := client.Get(t.Context(), key).Val(); n != "640" {
		t.Errorf("got %s, want 640", n)
	}
}

func TestAnIdleConnectionThatEndedIsMadeAgain(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{Proxied: true})
	w := Config{Addr: r.Addr()}.NewWriter(5*time.Second, nil)
	defer w.Close()
	for i := range 5 {
		b := NewBatch(AppendCommand(nil, "ping"), 1)
		if fate, err := w.Send(t.Context(), b); fate != Answered || err != nil || b.Err() != nil {
			t.Fatalf("turn %d: got fate %d, %v, %v, want an answer", i, fate, err, b.Err())
		}
		r.Proxy().Cut()
		testenv.Await(t, 10*time.Second, func() bool {
			w.link.mu.Lock() // the loop is idle: it owns link only while it writes
			defer w.link.mu.Unlock()
			return w.link.broken
		}, "the end of the idle connection is seen")
		r.Proxy().Restore()
	}
}

func TestAFrozenServerLeavesTheFateUnknown(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{})
	w := Config{Addr: r.Addr(), DialTimeout: 200 * time.Millisecond, Timeout: 200 * time.Millisecond}.NewWriter(300*time.Millisecond, nil)
	defer w.Close()
	ping := func(ctx context.Context) (fate Fate, err, lost error) {
		b := NewBatch(AppendCommand(nil, "ping"), 1)
		if fate, err = w.Send(ctx, b); fate == Answered {
			lost = b.Err()
		}
		return fate, err, lost
	}
	if fate, err, _ := ping(t.Context()); fate != Answered {
		t.Fatal(err)
	}
	r.Freeze()
	if fate, _, lost := ping(t.Context()); fate != Answered || lost == nil {
		t.Errorf("got fate %d, %v, want a lost reply", fate, lost)
	}
	if fate, err, _ := ping(t.Context()); fate != NotSent || err == nil {
		t.Errorf("without a connection: got fate %d, %v, want not sent", fate, err)
	}
	r.Thaw()
	testenv.Await(t, 10*time.Second, func() bool { fate, _, lost := ping(t.Context()); return fate == Answered && lost == nil }, "it goes on")
	r.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if fate, err, _ := ping(ctx); fate != Unknown || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("caller that left: got fate %d, %v, want unknown", fate, err)
	}
	r.Thaw()
}

func TestAfterCloseNothingIsSent(t *testing.T) {
	w := Config{Addr: testenv.Redis(t)}.NewWriter(time.Second, nil)
	w.Close()
	w.Close()
	if fate, err := w.Send(t.Context(), NewBatch(AppendCommand(nil, "ping"), 1)); fate != NotSent || !errors.Is(err, ErrStopped) {
		t.Errorf("got fate %d, %v, want not sent", fate, err)
	}
}

func TestTheTrailerGoesBehindEveryPipeline(t *testing.T) {
	w := Config{Addr: testenv.Redis(t)}.NewWriter(time.Second, AppendCommand(nil, "wait", "0", "1"))
	defer w.Close()
	b := NewBatch(AppendCommand(nil, "ping"), 1)
	if fate, err := w.Send(t.Context(), b); fate != Answered {
		t.Fatal(err)
	}
	if r := b.Trailer(); r.Int() != 0 || r.Bad() {
		t.Errorf("got no number, want one")
	}
}

func TestARefusedAddressIsNotSent(t *testing.T) {
	w := Config{Addr: "127.0.0.1:1"}.NewWriter(time.Second, nil)
	defer w.Close()
	fate, err := w.Send(t.Context(), NewBatch(AppendCommand(nil, "ping"), 1))
	var op *net.OpError
	if fate != NotSent || !errors.As(err, &op) {
		t.Errorf("got fate %d, %v, want not sent", fate, err)
	}
}

func FuzzRepliesAreReadAsTheyAreWritten(f *testing.F) {
	for _, raw := range []string{"+OK\r\n", "-ERR no\r\n", ":-3\r\n", "$-1\r\n", "$0\r\n\r\n", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "*-1\r\n", "$5\r\nab\r\ncd\r\n"} {
		f.Add([]byte(raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := ReadReply(bufio.NewReaderSize(strings.NewReader(string(raw)), 16), nil)
		r := NewReply(raw)
		r.Skip()
		if err == nil && (r.Bad() || len(raw)-len(r.Rest()) != len(got)) {
			t.Errorf("%q: read %q, skipped to %q, bad %t", raw, got, r.Rest(), r.Bad())
		}
	})
}
