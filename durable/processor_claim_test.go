package durable

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// gated runs handlers until free is closed or, unless stubborn, their context ends.
func gated(free chan struct{}, rec *recorder) message.NoPublishHandlerFunc {
	return func(msg *message.Message) error {
		rec.note(msg)
		select {
		case <-free:
			return nil
		case <-msg.Context().Done():
			return context.Cause(msg.Context())
		}
	}
}

func TestADrainingClaimReleasesInOrderWhatWasNotStarted(t *testing.T) {
	for _, mode := range []AckMode{AckEach, AckThrough} {
		bubble(t, func(t *testing.T) {
			f := newFake(mode)
			c, other := NewClaim(context.Background(), "t", 0, 1), NewClaim(context.Background(), "t", 1, 1)
			f.feed <- deliveries(c, 0, "a", "b", "a", "c", "d", "b")
			free := make(chan struct{})
			var rec recorder
			p := start(f, gated(free, &rec), ProcessOptions{Concurrency: 2, AckInterval: time.Hour})
			time.Sleep(time.Second)
			c.Drain()
			time.Sleep(time.Second)
			wantList(t, "released", f.releasedPositions(), []string{"2", "3", "4", "5"})
			f.feed <- deliveries(c, 6, "late")
			time.Sleep(time.Second)
			wantList(t, "released late", f.releasedPositions(), []string{"2", "3", "4", "5", "6"})
			close(free)
			time.Sleep(time.Second)
			got := f.ackedPositions()
			if len(got) == 0 || mode == AckThrough && got[len(got)-1] != "1" || mode == AckEach && len(got) != 2 {
				t.Errorf("acked at once after the drain: got %v, want 0 and 1", got)
			}
			f.feed <- deliveries(other, 10, "a")
			time.Sleep(time.Second)
			if got := f.ackedPositions(); got[len(got)-1] != "10" {
				t.Errorf("another claim: acked %v, want 10 at the end", got)
			}
			wantNil(t, "Process", p.end())
		})
	}
}

func TestWhatIsHandledBehindAReleaseIsReleasedUnderAckThrough(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		c := NewClaim(context.Background(), "t", 0, 1)
		f.feed <- deliveries(c, 0, "run", "wait", "done", "run2")
		free := make(chan struct{})
		p := start(f, func(msg *message.Message) error {
			switch string(msg.Payload) {
			case "run", "run2":
				<-free
			case "wait":
				return RetryAfter(errHandler, time.Hour)
			}
			return nil
		}, ProcessOptions{})
		time.Sleep(time.Second)
		c.Drain()
		time.Sleep(time.Second)
		wantList(t, "released", f.releasedPositions(), []string{"1", "2"})
		close(free)
		time.Sleep(time.Second)
		wantList(t, "released after all ran", f.releasedPositions(), []string{"1", "2", "3"})
		wantList(t, "acked", f.ackedPositions(), []string{"0"})
		wantNil(t, "Process", p.end())
	})
}

func TestALostClaimEndsItsHandlersAndIgnoresTheirResults(t *testing.T) {
	for _, mode := range []AckMode{AckEach, AckThrough} {
		bubble(t, func(t *testing.T) {
			f := newFake(mode)
			c := NewClaim(context.Background(), "t", 0, 1)
			f.feed <- deliveries(c, 0, "a", "b", "c", "a")
			causes := make(chan error, 3)
			p := start(f, func(msg *message.Message) error {
				if string(msg.Payload) == "c" {
					return nil
				}
				<-msg.Context().Done()
				causes <- context.Cause(msg.Context())
				return nil
			}, ProcessOptions{AckInterval: time.Hour, AckBatch: 100})
			time.Sleep(time.Second)
			c.Lose(nil)
			time.Sleep(time.Second)
			for range 2 {
				if err := <-causes; !errors.Is(err, ErrFenced) {
					t.Errorf("cause: got %v, want ErrFenced", err)
				}
			}
			wantNil(t, "Process", p.end())
			for _, at := range f.ackedPositions() {
				if at != "2" {
					t.Errorf("acked %s of a lost claim", at)
				}
			}
		})
	}
}

func TestShutdownLetsHandlersFinishAndAcknowledges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a", "b", "a")
		p := start(f, func(*message.Message) error { time.Sleep(10 * time.Second); return nil }, ProcessOptions{})
		time.Sleep(time.Second)
		wantNil(t, "Process", p.end())
		wantList(t, "released", f.releasedPositions(), []string{"2"})
		acked := f.ackedPositions() // in one batch or in two
		wantList(t, "last acked", acked[max(0, len(acked)-1):], []string{"1"})
		if !f.closed {
			t.Error("the consumer was not closed")
		}
	})
}

func TestDrainTimeoutEndsTheContextsOfHandlers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a")
		var rec recorder
		p := start(f, gated(make(chan struct{}), &rec), ProcessOptions{DrainTimeout: 3 * time.Second})
		time.Sleep(time.Second)
		begin := time.Now()
		wantNil(t, "Process", p.end())
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("ended after %s, want DrainTimeout", d)
		}
		wantList(t, "released", f.releasedPositions(), []string{"0"})
	})
}

func TestAHandlerThatIgnoresItsContextIsLeftBehindAndCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a", "b")
		free := make(chan struct{})
		p := start(f, func(*message.Message) error { <-free; return nil }, ProcessOptions{DrainTimeout: time.Second})
		time.Sleep(time.Second)
		err := p.end()
		if err == nil || !strings.Contains(err.Error(), "2 handlers still run") {
			t.Errorf("got %v, want an error that counts 2 handlers", err)
		}
		if !f.closed {
			t.Error("the consumer was not closed")
		}
		close(free)
	})
}
