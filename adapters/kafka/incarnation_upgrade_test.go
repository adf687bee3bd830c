package kafka

import (
	"errors"
	"log/slog"
	"sync"
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

func TestWhoPlacesAClaimAndWhoReviewsItAgreeOnItsTopic(t *testing.T) {
	for range 200 {
		c := &consumer{
			claims: t.Context(), byClaim: map[*durable.Claim]*held{}, met: map[string]string{}, rejoin: make(chan struct{}, 1), born: time.Now(),
			b: &Backend{cfg: Config{Logger: slog.New(slog.DiscardHandler)}},
		}
		c.lease.Store(int64(time.Hour))
		h := newHeld(c, "t", 0, 1, saved{offset: 0})
		h.known = true
		c.held, c.byClaim[h.claim] = []*held{h}, h
		var both sync.WaitGroup
		both.Go(func() { c.remade("t", "first") })
		both.Go(func() {
			if err := c.identify(h, map[string]string{"t": "first"}); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		if err := c.identify(h, map[string]string{"t": ""}); err != nil || h.incarnation != "first" || h.claim.Lost() {
			t.Fatalf("a broker that tells no id: got %v and %q, want the claim to go on as it was", err, h.incarnation)
		}
		if err := c.identify(h, map[string]string{"t": "second"}); !errors.Is(err, errRemade) || !h.claim.Lost() {
			t.Fatalf("made again: got %v, lost %t", err, h.claim.Lost())
		}
	}
}
