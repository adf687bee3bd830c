package durable

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// wantSum checks that every delivery is counted exactly once.
func wantSum(t *testing.T, s TopicStats) {
	t.Helper()
	if s.Received != s.Acked+s.Released+s.Lost+uint64(s.InFlight) {
		t.Errorf("the counters do not add up: %+v", s)
	}
}

func TestMonitorCountsEveryDeliveryOnce(t *testing.T) {
	for _, mode := range []AckMode{AckEach, AckThrough} {
		bubble(t, func(t *testing.T) {
			var m Monitor
			f := newFake(mode)
			c := NewClaim(context.Background(), "t", 0, 1)
			ds := deliveries(c, 0, "ok", "ok", "retry", "park", "lost", "ok")
			ds[1].Attempt = 2
			f.feed <- ds
			lost := NewClaim(context.Background(), "t", 1, 1)
			f.feed <- deliveries(lost, 10, "lost", "lost")
			p := start(f, func(msg *message.Message) error {
				switch string(msg.Payload) {
				case "retry":
					return RetryAfter(errHandler, time.Hour)
				case "park":
					return Park(errHandler)
				case "lost":
					<-msg.Context().Done()
				}
				return nil
			}, ProcessOptions{Monitor: &m, DrainTimeout: time.Minute})
			time.Sleep(time.Second)
			s := m.Stats().Total()
			wantSum(t, s)
			acked := map[AckMode]uint64{AckEach: 3, AckThrough: 2}[mode]
			if s.Received != 8 || s.Redelivered != 1 || s.Acked != acked || s.Running != 2 || s.Waiting != 1 || s.Parked != 1 {
				t.Errorf("mode %d, in the middle: %+v", mode, s)
			}
			if s.Succeeded != 3 || s.Failed != 2 || s.InFlight != 8-int(acked) || s.InFlightBytes <= 0 {
				t.Errorf("mode %d, in the middle: %+v", mode, s)
			}
			lost.Lose(nil)
			time.Sleep(time.Second)
			s = m.Stats().Total()
			wantSum(t, s)
			if s.Lost != 1 || s.Released != 1 || s.Running != 1 { // the one behind it was given back before
				t.Errorf("mode %d, after the loss of a claim: %+v", mode, s)
			}
			wantNil(t, "Process", p.end())
			s = m.Stats().Total()
			wantSum(t, s)
			if s.InFlight != 0 || s.InFlightBytes != 0 || s.Running+s.Waiting+s.Parked != 0 || s.Lost != 1 {
				t.Errorf("mode %d, at the end: %+v", mode, s)
			}
			if got := uint64(len(f.releasedPositions())); s.Released != got {
				t.Errorf("mode %d: counted %d as released, want the %d that the backend got", mode, s.Released, got)
			}
		})
	}
}

func TestAMonitorSumsUpItsRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var m Monitor
		for range 3 {
			f := newFake(AckEach)
			f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a", "b")
			p := start(f, nothing, ProcessOptions{Monitor: &m})
			time.Sleep(time.Second)
			wantNil(t, "Process", p.end())
		}
		if s := m.Stats().Topics["t"]; s.Received != 6 || s.Acked != 6 || s.InFlight != 0 {
			t.Errorf("got %+v, want 6 received and acked", s)
		}
	})
}

func TestEveryAttemptIsObserved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "k")
		type seen struct {
			attempt int
			took    time.Duration
			failed  bool
		}
		var mu sync.Mutex
		var got []seen
		runs := 0
		p := start(f, func(*message.Message) error {
			time.Sleep(time.Second)
			if runs++; runs == 1 {
				panic(errHandler)
			}
			return nil
		}, ProcessOptions{OnAttempt: func(d Delivery, took time.Duration, err error) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, seen{d.Attempt, took, err != nil})
			panic("a broken observer")
		}})
		time.Sleep(time.Minute)
		wantNil(t, "Process", p.end())
		if len(got) != 2 || got[0] != (seen{1, time.Second, true}) || got[1] != (seen{2, time.Second, false}) {
			t.Errorf("got %+v", got)
		}
		wantList(t, "acked", f.ackedPositions(), []string{"0"})
	})
}

func TestAPrefixWhoseClaimIsLostBeforeItsAcknowledgementIsLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var m Monitor
		f := newFake(AckThrough)
		lost, kept := NewClaim(context.Background(), "t", 0, 1), NewClaim(context.Background(), "t", 1, 1)
		f.feed <- append(deliveries(lost, 0, "a", "b", "c"), deliveries(kept, 10, "d", "slow")...)
		p := start(f, slowFirst, ProcessOptions{Monitor: &m, AckInterval: time.Minute})
		time.Sleep(time.Second)
		lost.Lose(nil)
		time.Sleep(time.Second)
		s := m.Stats().Total()
		wantSum(t, s)
		if s.Acked != 1 || s.Lost != 3 || s.InFlight != 1 {
			t.Errorf("got %+v, want 1 acked, 3 lost and 1 in flight", s)
		}
		wantList(t, "acked", f.ackedPositions(), []string{"10"})
		p.stop()
		time.Sleep(2 * DefaultDrainTimeout)
		wantNil(t, "Process", p.end())
		wantSum(t, m.Stats().Total())
	})
}
