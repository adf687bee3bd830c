package rediskit

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"
)

// atNode is a fleet of which the node at addr has every slot, and a journey of n commands through it.
func atNode(t *testing.T, addr, trailer string, n int) (*journey, []*errand) {
	t.Helper()
	f := newFleet(Config{Cluster: Cluster{Addrs: []string{addr}}}.Ready(), WriterOptions{Timeout: time.Second, Trailer: []byte(trailer)})
	t.Cleanup(f.Close)
	var wire []byte
	for range n {
		wire = AppendCommand(wire, "incr", "k")
	}
	all, err := errands(wire, n)
	if err != nil {
		t.Fatal(err)
	}
	f.t.moved(Slot("k"), addr)
	j := &journey{f: f, b: NewBatch(wire, n), all: all}
	es := make([]*errand, n)
	for i := range all {
		es[i] = &j.all[i]
	}
	return j, es
}

// nobody is an address that refuses connections.
const nobody = "127.0.0.1:1"

// TestATrailerThatDidNotComeIsTheWorst has two nodes store, one of which ends the connection before it tells how many
// replicas have that.
func TestATrailerThatDidNotComeIsTheWorst(t *testing.T) {
	for name, trailers := range map[string][2]string{"first": {"", ":1\r\n"}, "second": {":1\r\n", ""}, "neither": {"", ""}} {
		j, es := atNode(t, nobody, "*3\r\n", 2)
		for i, trailer := range trailers {
			b := NewBatch(nil, 1)
			b.raw, b.got, b.trailer = []byte(":1\r\n"), 1, []byte(trailer)
			if trailer == "" {
				b.err = errors.New("cut")
			}
			j.take(&leg{errands: es[i : i+1], commands: 1, batch: b, fate: Answered}, false)
		}
		if fate, err := j.finish(); fate != Answered || err != nil {
			t.Fatalf("%s: got fate %d, %v, want an answer", name, fate, err)
		}
		r := j.b.Trailer()
		var lost *LostError
		if !errors.As(r.Err(), &lost) || lost.Fate != Unknown {
			t.Errorf("%s: got the trailer %q, want one that is lost", name, j.b.trailer)
		}
	}
}

// TestAWriterThatWasRetiredIsNotTheEnd sends what a retired writer refused once more, and says it only where the fleet
// is closed.
func TestAWriterThatWasRetiredIsNotTheEnd(t *testing.T) {
	addr := nobody
	j, es := atNode(t, addr, "", 1)
	l := &leg{addr: addr, errands: es, commands: 1, err: ErrStopped}
	if j.unreached(t.Context(), l, 0); len(j.todo) != 1 {
		t.Errorf("got %d commands to send again, want 1", len(j.todo))
	}
	j.todo = nil
	j.f.Close()
	if j.unreached(t.Context(), l, 0); len(j.todo) != 0 || !bytes.HasPrefix(es[0].reply, []byte("!N")) {
		t.Errorf("got %d commands to send again and %q, want a reply that nothing was sent", len(j.todo), es[0].reply)
	}
	if fate, err := j.f.Send(t.Context(), NewBatch(j.b.Wire, 1)); fate != NotSent || !errors.Is(err, ErrStopped) {
		t.Errorf("got fate %d, %v, want ErrStopped", fate, err)
	}
}

func TestALookAtTheClusterIsSharedAndEndsWithItsContext(t *testing.T) {
	j, _ := atNode(t, nobody, "", 1)
	top := j.f.t
	top.turn <- struct{}{} // another caller looks
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := top.look(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that of the context", err)
	}
	shared, failed := make(chan error, 1), errors.New("nobody answers")
	go func() { shared <- top.look(t.Context()) }()
	top.looked, top.told = time.Now().Add(time.Hour), failed // as a look that ends later than the callers have asked
	<-top.turn
	if err := <-shared; !errors.Is(err, failed) {
		t.Errorf("got %v, want the outcome of the other's look", err)
	}
}

func TestANodeThatBreaksOffHasTheClusterLookedAt(t *testing.T) {
	j, es := atNode(t, nobody, "", 1)
	b := NewBatch(nil, 1)
	b.err = errors.New("cut")
	j.take(&leg{errands: es, commands: 1, batch: b, fate: Answered}, true)
	if _, err := j.f.t.master(t.Context(), Slot("k")); err != nil {
		t.Errorf("got %v, want the node that had the slot", err)
	}
	if j.f.t.told == nil {
		t.Error("the cluster was not looked at")
	}
}
