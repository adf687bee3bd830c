package rediskit

import (
	"context"
	"net"
	"testing"

	"github.com/dualstream/dualstream/internal/testenv"
)

// loneWriter is a connected Writer without the goroutine that writes what is queued.
func loneWriter(t *testing.T, addr string) *Writer {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	w := &Writer{
		o: WriterOptions{Timeout: patience}, queue: make(chan *Batch, 1), slots: make(chan struct{}, inFlight),
		stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	w.link = &link{conn: conn, free: func() { <-w.slots }}
	w.readers.Go(w.link.read)
	t.Cleanup(w.end)
	return w
}

func aPing() *Batch { return NewBatch(AppendCommand(nil, "ping"), 1) }

func TestACallerWritesItselfWhereTheConnectionIsIdle(t *testing.T) {
	w := loneWriter(t, testenv.Redis(t))
	for range 3 {
		b := aPing()
		if fate, err := w.Send(t.Context(), b); fate != Answered || err != nil || b.Err() != nil {
			t.Fatalf("got fate %d, %v, %v, want an answer", fate, err, b.Err())
		}
		testenv.Await(t, patience, func() bool { return len(w.slots) == 0 }, "the connection is idle")
	}
}

func TestACallerWritesOnlyWhereItCannotWait(t *testing.T) {
	server := testenv.StartRedis(t, testenv.RedisOptions{})
	w := loneWriter(t, server.Addr())
	if w.direct(NewBatch(make([]byte, directBytes+1), 1)) {
		t.Error("wrote more than an empty send buffer takes for sure")
	}
	w.queue <- aPing()
	if w.direct(aPing()) {
		t.Error("wrote before what waits")
	}
	<-w.queue
	w.writing.Lock()
	if w.direct(aPing()) {
		t.Error("wrote while another was writing")
	}
	w.writing.Unlock()
	server.Freeze()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	first := aPing()
	if fate, err := w.Send(ctx, first); fate != Unknown || err == nil {
		t.Errorf("caller that left: got fate %d, %v, want unknown", fate, err)
	}
	if w.direct(aPing()) {
		t.Error("wrote while another batch was in flight")
	}
	server.Thaw()
	<-first.done
	close(w.stop)
	if w.direct(aPing()) {
		t.Error("wrote after Close")
	}
}
