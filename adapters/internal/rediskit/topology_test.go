package rediskit

import (
	"net"
	"testing"
	"time"
)

// TestALookIsBoundedHoweverManyNodesStandStill has more nodes that accept and never answer than a look has time for.
func TestALookIsBoundedHoweverManyNodesStandStill(t *testing.T) {
	const n = 5
	c := Config{}
	for range n {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		c.Cluster.Addrs = append(c.Cluster.Addrs, l.Addr().String())
	}
	begun := time.Now()
	if err := newTopology(c.Ready()).look(t.Context()); err == nil {
		t.Fatal("got an answer, want none")
	}
	if took := time.Since(begun); took >= n*lookTime {
		t.Errorf("took %v, want about %v", took, looksTime)
	}
}
