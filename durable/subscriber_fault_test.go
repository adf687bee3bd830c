package durable

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func TestAReceiverThatAnswersTwiceHasAnsweredOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "k", "k", "k")
		s := subscriber(t, f, ProcessOptions{Backoff: func(int, error) time.Duration { return time.Second }})
		messages, err := s.Subscribe(t.Context(), "t")
		wantNil(t, "Subscribe", err)
		first := wantMessage(t, messages, "0")
		if acks := []bool{first.Ack(), first.Ack(), first.Nack()}; !slices.Equal(acks, []bool{true, true, false}) {
			t.Error("a second Ack is refused, or a Nack after it accepted")
		}
		second := wantMessage(t, messages, "1")
		if nacks := []bool{second.Nack(), second.Nack(), second.Ack()}; !slices.Equal(nacks, []bool{true, true, false}) {
			t.Error("a second Nack is refused, or an Ack after it accepted")
		}
		first.Ack() // long over
		time.Sleep(time.Second)
		wantMessage(t, messages, "1").Ack()
		wantMessage(t, messages, "2").Ack()
		if receive(messages) != nil {
			t.Error("a message came again after its Ack")
		}
		wantNil(t, "Close", s.Close())
		wantList(t, "acked", f.ackedPositions(), []string{"0", "1", "2"})
	})
}

func TestAReceiverThatNacksForEverStopsItsKeyAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		keys := []string{"bad"}
		for i := range 50 {
			keys = append(keys, "good-"+strconv.Itoa(i%5))
		}
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, keys...)
		s := subscriber(t, f, ProcessOptions{Backoff: func(int, error) time.Duration { return time.Second }})
		messages, err := s.Subscribe(t.Context(), "t")
		wantNil(t, "Subscribe", err)
		nacks, acks := 0, 0
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			msg := receive(messages)
			switch {
			case msg == nil:
				time.Sleep(100 * time.Millisecond)
			case msg.UUID == "0":
				nacks++
				msg.Nack()
			default:
				acks++
				msg.Ack()
			}
		}
		if acks != 50 || nacks < 30 || nacks > 61 {
			t.Errorf("%d acks and %d nacks in a minute with a second between attempts, want 50 and about 60", acks, nacks)
		}
		wantNil(t, "Close", s.Close())
		if got := f.ackedPositions(); len(got) != 0 {
			t.Errorf("acked through %v although the first of the claim was not", got)
		}
	})
}

func TestAReceiverThatNeverAnswersHoldsNothingButItsMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "stuck", "stuck", "a", "b", "a")
		s := subscriber(t, f, ProcessOptions{DrainTimeout: time.Minute})
		messages, err := s.Subscribe(t.Context(), "t")
		wantNil(t, "Subscribe", err)
		var stuck *message.Message
		got := map[string]bool{}
		for msg := receive(messages); msg != nil; msg = receive(messages) {
			got[msg.UUID] = true
			if msg.UUID == "0" {
				stuck = msg
				continue
			}
			msg.Ack()
			synctest.Wait()
		}
		if stuck == nil || len(got) != 4 || got["1"] {
			t.Fatalf("got %v, want all but the second of the stuck key", got)
		}
		begin := time.Now()
		wantNil(t, "Close", s.Close())
		if took := time.Since(begin); took > 2*time.Minute {
			t.Errorf("Close took %s, want DrainTimeout about", took)
		}
		if stuck.Context().Err() == nil {
			t.Error("the context of what was never answered has not ended")
		}
		stuck.Ack() // too late
		wantList(t, "released", slices.Sorted(slices.Values(f.releasedPositions())), []string{"0", "1"})
	})
}
