package durable

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatNobodyHasTakenWhenItsClaimIsLostIsNotReceived(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		lost := NewClaim(context.Background(), "t", 0, 1)
		f.feed <- deliveries(lost, 0, "a", "b", "c")
		f.feed <- deliveries(NewClaim(context.Background(), "t", 1, 1), 3, "d", "e")
		s := subscriber(t, f, ProcessOptions{Concurrency: 4})
		messages, err := s.Subscribe(t.Context(), "t")
		wantNil(t, "Subscribe", err)
		taken := wantMessage(t, messages, "0")
		lost.Lose(ErrFenced)
		synctest.Wait()
		if taken.Context().Err() == nil {
			t.Error("the context of a message goes on though its claim is lost")
		}
		for _, id := range []string{"3", "4"} {
			wantMessage(t, messages, id).Ack()
		}
		if msg := receive(messages); msg != nil {
			t.Errorf("received %s of the lost claim", msg.UUID)
		}
		taken.Ack() // too late
		wantNil(t, "Close", s.Close())
		wantList(t, "acked", sorted(f.ackedPositions()), []string{"3", "4"})
	})
}

func TestAnAnswerIsSeenWhileNobodyTakesTheNextMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a", "b", "c")
		s := subscriber(t, f, ProcessOptions{Concurrency: 2})
		messages, err := s.Subscribe(t.Context(), "t")
		wantNil(t, "Subscribe", err)
		wantMessage(t, messages, "0").Ack()
		time.Sleep(2 * DefaultAckInterval)
		synctest.Wait()
		wantList(t, "acked", f.ackedPositions(), []string{"0"})
		wantNil(t, "Close", s.Close())
		wantList(t, "released", sorted(f.releasedPositions()), []string{"1", "2"})
		if _, open := <-messages; open {
			t.Error("a message came after Close")
		}
	})
}
