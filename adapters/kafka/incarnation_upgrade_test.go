package kafka

import (
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
)

func TestAClaimGoesOnWhenItsBrokersBeginToTellTheIdsOfTopics(t *testing.T) {
	c := &consumer{claims: t.Context(), byClaim: map[*durable.Claim]*held{}, rejoin: make(chan struct{}, 1), born: time.Now()}
	c.lease.Store(int64(time.Hour))
	h := newHeld(c, "t", 0, 1, saved{offset: 0})
	h.known = true // the broker that was asked was an old one
	c.held, c.byClaim[h.claim] = []*held{h}, h
	c.remade("t", "first")
	if h.draining || h.claim.Lost() || len(c.rejoin) != 0 || h.incarnation != "first" {
		t.Errorf("got incarnation %q, draining %t, lost %t, want the claim to go on", h.incarnation, h.draining, h.claim.Lost())
	}
	c.remade("t", "second")
	if !h.draining || !h.claim.Lost() || len(c.rejoin) != 1 {
		t.Error("the topic was made again, and the claim goes on")
	}
}
