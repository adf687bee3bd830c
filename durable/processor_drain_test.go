package durable

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// leavings are the two ways to give a claim up in order.
var leavings = map[string]func(*Claim, *process) error{
	"the claim drains": func(c *Claim, p *process) error {
		c.Drain()
		time.Sleep(time.Hour)
		return p.end()
	},
	"Process ends": func(_ *Claim, p *process) error { return p.end() },
}

func TestWhatLiesBeforeAStartedDeliveryIsHandledBeforeTheClaimIsGivenUp(t *testing.T) {
	for name, leave := range leavings {
		bubble(t, func(t *testing.T) {
			f := newFake(AckThrough)
			c := NewClaim(context.Background(), "t", 0, 1)
			f.feed <- deliveries(c, 0, "slow", "slow", "quick", "slow", "quick2", "slow", "slow")
			var rec recorder
			p := start(f, func(msg *message.Message) error {
				rec.note(msg)
				if string(msg.Payload) == "slow" {
					time.Sleep(time.Second)
				}
				return nil
			}, ProcessOptions{})
			time.Sleep(100 * time.Millisecond)
			wantNil(t, name, leave(c, p))
			wantList(t, name+": released", f.releasedPositions(), []string{"5", "6"})
			wantList(t, name+": handled", rec.list(), []string{"0", "2", "4", "1", "3"})
			if got := f.ackedPositions(); got[len(got)-1] != "4" {
				t.Errorf("%s: acked %v, want up to 4", name, got)
			}
		})
	}
}

func TestOnlyAFailureMakesAnOrderlyLeaveGiveBackWhatWasHandled(t *testing.T) {
	verdicts := map[string]error{
		"a retry that waits":  RetryAfter(errHandler, time.Hour),
		"a parked delivery":   Park(errHandler),
		"a released delivery": RetryAfter(Release(errHandler), time.Hour),
	}
	for name, verdict := range verdicts {
		for how, leave := range leavings {
			bubble(t, func(t *testing.T) {
				f := newFake(AckThrough)
				c := NewClaim(context.Background(), "t", 0, 1)
				f.feed <- deliveries(c, 0, "slow", "slow", "quick", "bad", "quick", "slow")
				p := start(f, func(msg *message.Message) error {
					switch string(msg.Payload) {
					case "slow":
						time.Sleep(time.Second)
					case "bad":
						return verdict
					}
					return nil
				}, ProcessOptions{})
				time.Sleep(100 * time.Millisecond)
				wantNil(t, how, leave(c, p))
				wantList(t, name+", "+how+": released", f.releasedPositions(), []string{"3", "4", "5"})
				if got := f.ackedPositions(); len(got) == 0 || got[len(got)-1] != "2" {
					t.Errorf("%s, %s: acked %v, want up to 2", name, how, got)
				}
			})
		}
	}
}

func TestAFailureWhileTheClaimDrainsGivesBackWhatLiesBehindIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		c := NewClaim(context.Background(), "t", 0, 1)
		f.feed <- deliveries(c, 0, "slow", "slow", "slow", "quick")
		starts := 0
		p := start(f, func(msg *message.Message) error {
			if string(msg.Payload) == "quick" {
				return nil
			}
			starts++
			time.Sleep(time.Second)
			if starts == 2 {
				return errHandler
			}
			return nil
		}, ProcessOptions{})
		time.Sleep(100 * time.Millisecond)
		c.Drain()
		time.Sleep(time.Minute)
		wantList(t, "released", f.releasedPositions(), []string{"1", "2", "3"})
		wantList(t, "acked", f.ackedPositions(), []string{"0"})
		if starts != 2 {
			t.Errorf("%d starts of the slow key, want 2: what is behind a failure is not for this owner", starts)
		}
		wantNil(t, "Process", p.end())
	})
}

func TestAClaimThatDrainsStartsNothingAfterItsTime(t *testing.T) {
	for name, leave := range leavings {
		bubble(t, func(t *testing.T) {
			f := newFake(AckThrough)
			c := NewClaim(context.Background(), "t", 0, 1)
			f.feed <- deliveries(c, 0, append(slices.Repeat([]string{"slow"}, 20), "quick")...)
			var rec recorder
			p := start(f, func(msg *message.Message) error {
				rec.note(msg)
				if string(msg.Payload) == "slow" {
					time.Sleep(2 * time.Second)
				}
				return nil
			}, ProcessOptions{DrainTimeout: 8 * time.Second})
			time.Sleep(time.Second) // started at 0, 2 and 4 s: the time is over at 5
			wantNil(t, name, leave(c, p))
			wantList(t, name+": handled", rec.list(), []string{"0", "20", "1", "2"})
			if got := f.ackedPositions(); got[len(got)-1] != "2" {
				t.Errorf("%s: acked %v, want up to 2", name, got)
			}
			if got := f.releasedPositions(); len(got) != 18 || got[0] != "3" {
				t.Errorf("%s: released %v, want 3 to 20", name, got)
			}
		})
	}
}

func TestAClaimThatIsLostWhileItDrainsEndsProcess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		c := NewClaim(context.Background(), "t", 0, 1)
		f.feed <- deliveries(c, 0, "slow", "slow", "quick")
		p := start(f, func(msg *message.Message) error {
			if string(msg.Payload) == "slow" {
				time.Sleep(time.Second)
			}
			return nil
		}, ProcessOptions{})
		time.Sleep(100 * time.Millisecond)
		p.stop()
		time.Sleep(100 * time.Millisecond)
		c.Lose(nil)
		begin := time.Now()
		wantNil(t, "Process", <-p.done)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("Process ended %s after it lost the claim, want it not to wait for what it may not handle", took)
		}
		if got := f.ackedPositions(); len(got) > 0 {
			t.Errorf("acked %v of a lost claim", got)
		}
	})
}
