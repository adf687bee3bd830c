package rediskit

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// patience is far above the time for which a server or this process may stand still.
const patience = 30 * time.Second

func TestMain(m *testing.M) { leaktest.Main(m, testenv.Leaks()...) }

func TestManyCallersShareAConnection(t *testing.T) {
	c := Config{Addr: testenv.Redis(t)}
	key := testenv.Name(t, "n")
	w := c.NewWriter(patience, nil)
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
	w := Config{Addr: r.Addr()}.NewWriter(patience, nil).(*Writer)
	defer w.Close()
	for i := range 5 {
		b := NewBatch(AppendCommand(nil, "ping"), 1)
		if fate, err := w.Send(t.Context(), b); fate != Answered || err != nil || b.Err() != nil {
			t.Fatalf("turn %d: got fate %d, %v, %v, want an answer", i, fate, err, b.Err())
		}
		r.Proxy().Cut()
		testenv.Await(t, patience, func() bool {
			w.writing.Lock()
			defer w.writing.Unlock()
			w.link.mu.Lock()
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
	ping := func() (fate Fate, err, lost error) {
		b := aPing()
		if fate, err = w.Send(t.Context(), b); fate == Answered {
			lost = b.Err()
		}
		return fate, err, lost
	}
	answers := func() bool { fate, _, lost := ping(); return fate == Answered && lost == nil }
	testenv.Await(t, patience, answers, "it answers")
	r.Freeze()
	if fate, _, lost := ping(); fate != Answered || lost == nil {
		t.Errorf("got fate %d, %v, want a lost reply", fate, lost)
	}
	if fate, err, _ := ping(); fate != NotSent || err == nil {
		t.Errorf("without a connection: got fate %d, %v, want not sent", fate, err)
	}
	r.Thaw()
	testenv.Await(t, patience, answers, "it goes on")
}

func TestACallerThatLeavesAFrozenServerDoesNotKnowTheFate(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{})
	w := Config{Addr: r.Addr()}.NewWriter(patience, nil)
	defer w.Close()
	if fate, err := w.Send(t.Context(), aPing()); fate != Answered {
		t.Fatal(err)
	}
	r.Freeze()
	defer r.Thaw()
	ctx, leave := context.WithCancel(t.Context())
	b, left := aPing(), make(chan struct{})
	go func() {
		defer close(left)
		if fate, err := w.Send(ctx, b); fate != Unknown || !errors.Is(err, context.Canceled) {
			t.Errorf("got fate %d, %v, want unknown", fate, err)
		}
	}()
	testenv.Await(t, patience, func() bool { return b.state.Load() == taken }, "it is on its way")
	leave()
	<-left
}

func TestAfterCloseNothingIsSent(t *testing.T) {
	w := Config{Addr: testenv.Redis(t)}.NewWriter(time.Second, nil)
	w.Close()
	w.Close()
	if fate, err := w.Send(t.Context(), NewBatch(AppendCommand(nil, "ping"), 1)); fate != NotSent || !errors.Is(err, ErrStopped) {
		t.Errorf("got fate %d, %v, want not sent", fate, err)
	}
}

func TestClosingDoesNotWaitForEveryPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 100 * time.Millisecond
		dials := make(chan struct{}, 1000)
		w := NewWriter(WriterOptions{Timeout: timeout, Dial: func(context.Context) (net.Conn, error) {
			dials <- struct{}{}
			timer := time.NewTimer(timeout)
			<-timer.C
			return nil, errors.New("no server")
		}})
		fates := make(chan error, 100)
		for range cap(fates) {
			go func() {
				_, err := w.Send(t.Context(), NewBatch(AppendCommand(nil, "ping"), mostCommands))
				fates <- err
			}()
		}
		synctest.Wait() // one is on its way and the others wait
		w.Close()
		refused := 0
		for range cap(fates) {
			if errors.Is(<-fates, ErrStopped) {
				refused++
			}
		}
		if len(dials) > 10 || refused < cap(fates)-10 {
			t.Errorf("got %d attempts to connect and %d refused, want a few attempts", len(dials), refused)
		}
	})
}

func TestAPipelineIsBoundInBytes(t *testing.T) {
	w := &Writer{queue: make(chan *Batch, 5)}
	for range cap(w.queue) {
		w.queue <- NewBatch(make([]byte, mostBytes*3/4), 1)
	}
	if p := w.gather(<-w.queue); len(p.batches) != 2 {
		t.Errorf("got %d batches, want 2", len(p.batches))
	}
}

func TestASessionLeavesAServerThatBecameAReplica(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{})
	s := Config{Addr: r.Addr()}.NewSession()
	defer s.Close()
	do := func(words ...string) string {
		raw, err := s.Do(t.Context(), AppendCommand(nil, words...), patience)
		if err != nil {
			return err.Error()
		}
		return string(raw)
	}
	first := do("client", "id")
	do("replicaof", "127.0.0.1", "1")
	if got := do("set", "a", "b"); !strings.HasPrefix(got, "READONLY") {
		t.Errorf("got %q, want READONLY", got)
	}
	if got := do("client", "id"); got == first {
		t.Errorf("got connection %q again, want another", got)
	}
}

// replicaServer answers like a server that is a replica on the first connection and its master's successor on others.
func replicaServer(t *testing.T) (dial func(context.Context) (net.Conn, error)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for reply := "-READONLY a replica\r\n"; ; reply = "+PONG\r\n" {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer func() { _ = conn.Close() }()
				in := bufio.NewReader(conn)
				for raw, err := ReadReply(in, nil); err == nil; raw, err = ReadReply(in, raw[:0]) {
					_, _ = io.WriteString(conn, reply)
				}
			})
		}
	})
	t.Cleanup(conns.Wait)
	t.Cleanup(func() { _ = l.Close() })
	return func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
	}
}

func TestWhoIsRefusedByAReplicaTriesAgainOnAnotherConnection(t *testing.T) {
	for range 200 {
		w := NewWriter(WriterOptions{Timeout: patience, Dial: replicaServer(t)})
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				for i, b := 0, aPing(); ; i, b = i+1, aPing() {
					fate, err := w.Send(t.Context(), b)
					if fate != Answered || b.Err() != nil || i > 1 {
						t.Errorf("turn %d: got fate %d, %v, %v, want an answer", i, fate, err, b.Err())
						return
					}
					if replies, _ := b.Replies(); replies.Err() == nil {
						return
					}
				}
			})
		}
		callers.Wait()
		w.Close()
	}
}

func TestTheTrailerGoesBehindEveryPipeline(t *testing.T) {
	w := Config{Addr: testenv.Redis(t)}.NewWriter(patience, AppendCommand(nil, "wait", "0", "1"))
	defer w.Close()
	b := NewBatch(AppendCommand(nil, "ping"), 1)
	if fate, err := w.Send(t.Context(), b); fate != Answered || b.Err() != nil {
		t.Fatal(err, b.Err())
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
