package durable

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// pausing is a backend whose consumer has an endless supply for each of its claims and can pause them.
type pausing struct {
	*fake
	claims []*Claim
	next   []int
	paused map[*Claim]bool
	wake   chan struct{}
}

func newPausing(mode AckMode, claims int) *pausing {
	p := &pausing{fake: newFake(mode), paused: map[*Claim]bool{}, next: make([]int, claims), wake: make(chan struct{}, 1)}
	for i := range claims {
		p.claims = append(p.claims, NewClaim(context.Background(), "t", i, 1))
	}
	return p
}

func (p *pausing) Consume(context.Context, Group) (Consumer, error) { return p, nil }

func (p *pausing) Claims() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, c := range p.claims {
		if !isClosed(c.Draining()) {
			n++
		}
	}
	return n
}

func (p *pausing) Pause(c *Claim)  { p.set(c, true) }
func (p *pausing) Resume(c *Claim) { p.set(c, false) }

func (p *pausing) set(c *Claim, paused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused[c] = paused
	poke(p.wake)
}

func (p *pausing) isPaused(c *Claim) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused[c]
}

// Fetch takes turns between the claims that are not paused, up to 1000 of each.
func (p *pausing) Fetch(ctx context.Context, most int) ([]Delivery, error) {
	for {
		if ds := p.supply(most); len(ds) > 0 {
			return ds, nil
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (p *pausing) supply(most int) (ds []Delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range p.claims {
		if n := min(most/len(p.claims)+1, most-len(ds), 1000-p.next[i]); n > 0 && !p.paused[c] {
			for range n {
				ds = append(ds, deliveries(c, p.next[i], strconv.Itoa(p.next[i]%7))...)
				p.next[i]++
			}
		}
	}
	return ds
}

// fetched is how many of each claim were.
func (p *pausing) fetched() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.next)
}

func TestAPartitionThatDoesNotMoveLeavesTheOthersGoing(t *testing.T) {
	for _, mode := range []AckMode{AckEach, AckThrough} {
		bubble(t, func(t *testing.T) {
			b := newPausing(mode, 3)
			free := make(chan struct{})
			done := make([]int, 3)
			var rec recorder
			p := start(b, func(msg *message.Message) error {
				d, _ := DeliveryOf(msg.Context())
				if d.Claim == b.claims[0] {
					<-free
				}
				time.Sleep(time.Millisecond)
				rec.mu.Lock()
				defer rec.mu.Unlock()
				done[d.Claim.Partition()]++
				return nil
			}, ProcessOptions{MaxInFlight: 64, Concurrency: 16, FetchSize: 16})
			time.Sleep(time.Hour)
			rec.mu.Lock()
			if done[0] != 0 || done[1] != 1000 || done[2] != 1000 {
				t.Errorf("mode %d: handled %v while the first partition is stuck, want none of it and all of the others", mode, done)
			}
			rec.mu.Unlock()
			if !b.isPaused(b.claims[0]) || b.isPaused(b.claims[1]) {
				t.Errorf("mode %d: want the first partition paused and the second not", mode)
			}
			close(free)
			time.Sleep(time.Hour)
			paused := b.isPaused(b.claims[0])
			wantNil(t, "Process", p.end())
			if done[0] != 1000 || paused {
				t.Errorf("mode %d: handled %v afterwards, want 1000 of each and nothing paused", mode, done)
			}
		})
	}
}

func TestAPartitionThatIsAloneAgainIsNotPaused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newPausing(AckThrough, 2)
		free := make(chan struct{})
		p := start(b, func(msg *message.Message) error {
			if d, _ := DeliveryOf(msg.Context()); d.Claim == b.claims[0] {
				<-free
			}
			return nil
		}, ProcessOptions{MaxInFlight: 64, FetchSize: 16})
		time.Sleep(time.Hour)
		if !b.isPaused(b.claims[0]) {
			t.Error("want the partition that does not move paused beside another one")
		}
		b.claims[1].Drain()
		time.Sleep(time.Hour)
		if b.isPaused(b.claims[0]) {
			t.Error("the partition is still paused after the other one was given up")
		}
		close(free)
		wantNil(t, "Process", p.end())
	})
}
