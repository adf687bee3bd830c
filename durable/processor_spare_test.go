package durable

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// gain gives the member another claim.
func (p *pausing) gain() *Claim {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := NewClaim(context.Background(), "t", len(p.claims), 1)
	p.claims, p.next = append(p.claims, c), append(p.next, 0)
	poke(p.wake)
	return c
}

func TestAClaimThatIsGainedGoesOnWhileOthersFillTheWindow(t *testing.T) {
	for before := 1; before <= 3; before++ {
		for _, mode := range []AckMode{AckEach, AckThrough} {
			bubble(t, func(t *testing.T) {
				b := newPausing(mode, before)
				free := make(chan struct{})
				var rec recorder
				p := start(b, func(msg *message.Message) error {
					if d, _ := DeliveryOf(msg.Context()); d.Claim.Partition() < before {
						<-free
						return nil
					}
					rec.note(msg)
					return nil
				}, ProcessOptions{MaxInFlight: 256, Concurrency: 64, FetchSize: 64})
				time.Sleep(time.Hour)
				b.gain()
				time.Sleep(time.Hour)
				if n := len(rec.list()); n != 1000 {
					t.Errorf("mode %d: %d of the gained claim handled beside %d that are stuck, want all 1000", mode, n, before)
				}
				close(free)
				time.Sleep(time.Hour)
				for i, n := range b.fetched() {
					if n != 1000 {
						t.Errorf("mode %d: %d of claim %d fetched in the end, want 1000", mode, n, i)
					}
				}
				wantNil(t, "Process", p.end())
			})
		}
	}
}

func TestTheWindowIsNotExceededForAGainedClaim(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newPausing(AckThrough, 1)
		free := make(chan struct{})
		var m Monitor
		p := start(b, func(*message.Message) error { <-free; return nil }, ProcessOptions{MaxInFlight: 64, FetchSize: 16, Monitor: &m})
		time.Sleep(time.Hour)
		if n := m.Stats().Total().InFlight; n != 56 {
			t.Errorf("a claim that is alone holds %d, want seven eighths of 64", n)
		}
		b.gain()
		time.Sleep(time.Hour)
		if n := m.Stats().Total().InFlight; n <= 56 || n > 64 {
			t.Errorf("both hold %d, want more than 56 and at most 64", n)
		}
		close(free)
		wantNil(t, "Process", p.end())
	})
}

func TestTheLastClaimMayGoWhileTheWindowIsFull(t *testing.T) {
	for _, mode := range []AckMode{AckEach, AckThrough} {
		bubble(t, func(t *testing.T) {
			b := newPausing(mode, 1)
			free := make(chan struct{})
			p := start(b, func(*message.Message) error { <-free; return nil }, ProcessOptions{MaxInFlight: 8, Concurrency: 8})
			time.Sleep(time.Hour)
			b.claims[0].Lose(ErrFenced) // what runs is still held
			time.Sleep(time.Hour)
			close(free)
			wantNil(t, "Process", p.end())
		})
	}
}
