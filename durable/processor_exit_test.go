package durable

import (
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func TestHandlerThatCallsGoexitIsRetriedAndReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		calls := 0 // one worker: never two at once
		h := func(msg *message.Message) error {
			if calls++; calls <= 3 {
				runtime.Goexit()
			}
			return nil
		}
		f.feed <- deliveries(NewClaim(t.Context(), "t", 0, 1), 1, "a", "b")
		began := time.Now()
		p := start(f, h, ProcessOptions{Concurrency: 1, Backoff: func(int, error) time.Duration { return time.Second }})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		wantList(t, "acked", f.ackedPositions()[len(f.ackedPositions())-1:], []string{"2"})
		wantNil(t, "Process", p.end())
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("Process ended after %s, want at once at 10s", d)
		}
	})
}

func TestHandlerThatCallsGoexitWhileStoppingIsReleased(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		h := func(msg *message.Message) error {
			time.Sleep(time.Second)
			runtime.Goexit()
			return nil
		}
		f.feed <- deliveries(NewClaim(t.Context(), "t", 0, 1), 1, "a")
		p := start(f, h, ProcessOptions{})
		synctest.Wait()
		wantNil(t, "Process", p.end())
		wantList(t, "released", f.releasedPositions(), []string{"1"})
	})
}

// What a Fetch under way brings of a claim that was drained meanwhile comes behind a gap: it must not be
// acknowledged.
func TestDeliveriesOfADrainedClaimAreNotStarted(t *testing.T) {
	for range 100 {
		bubble(t, func(t *testing.T) {
			f := newFake(AckThrough)
			var handled []string
			h := func(msg *message.Message) error {
				handled = append(handled, msg.UUID)
				return nil
			}
			claim := NewClaim(t.Context(), "t", 0, 1)
			claim.Drain()
			f.feed <- deliveries(claim, 8, "a")
			p := start(f, h, ProcessOptions{})
			synctest.Wait()
			wantNil(t, "Process", p.end())
			if !slices.Equal(handled, nil) {
				t.Fatalf("handled %v of a draining claim", handled)
			}
			wantList(t, "released", f.releasedPositions(), []string{"8"})
		})
	}
}
