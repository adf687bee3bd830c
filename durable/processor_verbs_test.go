package durable

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func TestAParkedKeyWaitsUntilTheClaimEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		c := NewClaim(context.Background(), "t", 0, 1)
		f.feed <- deliveries(c, 0, "bad", "bad", "ok", "")
		f.feed <- deliveries(c, 4, "bad", "ok")
		var rec recorder
		p := start(f, func(msg *message.Message) error {
			rec.note(msg)
			if msg.UUID == "0" || msg.UUID == "3" {
				return Park(errHandler)
			}
			return nil
		}, ProcessOptions{Concurrency: 1})
		time.Sleep(24 * time.Hour)
		wantList(t, "handled", sorted(rec.list()), []string{"0", "2", "3", "5"})
		wantList(t, "acked", sorted(f.ackedPositions()), []string{"2", "5"})
		wantList(t, "released while the claim is held", f.releasedPositions(), nil)
		c.Drain()
		time.Sleep(time.Second)
		wantList(t, "released by the end of the claim", f.releasedPositions(), []string{"0", "1", "3", "4"})
		wantNil(t, "Process", p.end())
	})
}

func TestParkedDeliveriesKeepTheirPlaceInFlight(t *testing.T) {
	for _, mode := range []AckMode{AckEach, AckThrough} {
		bubble(t, func(t *testing.T) {
			f := newFake(mode)
			c := NewClaim(context.Background(), "t", 0, 1)
			f.feed <- deliveries(c, 0, "bad", "bad", "bad", "bad", "ok", "ok")
			p := start(f, func(msg *message.Message) error {
				if string(msg.Payload) == "bad" {
					return Park(errHandler)
				}
				return nil
			}, ProcessOptions{MaxInFlight: 4})
			time.Sleep(time.Hour)
			if n, _ := f.fetches(); n != 4 {
				t.Errorf("mode %d: fetched %d, want the 4 that fill the window", mode, n)
			}
			wantNil(t, "Process", p.end())
			wantList(t, "released at the end", f.releasedPositions(), []string{"0", "1", "2", "3"})
		})
	}
}

func TestAReleasedDeliveryIsTriedAgainWithTheSameAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "k", "k")
		var runs []string
		begin := time.Now()
		p := start(f, func(msg *message.Message) error {
			d, _ := DeliveryOf(msg.Context())
			runs = append(runs, fmt.Sprintf("%s attempt %d at %s of %s", d.Position, d.Attempt, time.Since(begin), d.Group))
			switch len(runs) {
			case 1:
				return fmt.Errorf("wrapped: %w", Release(RetryAfter(errHandler, 5*time.Second)))
			case 2:
				return errHandler
			}
			return nil
		}, ProcessOptions{Backoff: func(int, error) time.Duration { return time.Second }})
		time.Sleep(time.Minute)
		wantNil(t, "Process", p.end())
		wantList(t, "runs", runs, []string{
			"0 attempt 1 at 0s of g", "0 attempt 1 at 5s of g", "0 attempt 2 at 6s of g", "1 attempt 1 at 6s of g",
		})
	})
}

func TestAReleasedDeliveryOfADrainingClaimGoesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		c := NewClaim(context.Background(), "t", 0, 1)
		f.feed <- deliveries(c, 0, "k", "k")
		p := start(f, func(*message.Message) error {
			<-c.Draining()
			return Release(errHandler)
		}, ProcessOptions{})
		time.Sleep(time.Second)
		c.Drain()
		time.Sleep(time.Second)
		wantList(t, "released", sorted(f.releasedPositions()), []string{"0", "1"})
		wantNil(t, "Process", p.end())
		wantList(t, "acked", f.ackedPositions(), nil)
	})
}

func TestStopEndsProcessWithItsError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "slow", "bad", "bad")
		p := start(f, func(msg *message.Message) error {
			if string(msg.Payload) == "bad" {
				return Stop(errHandler)
			}
			time.Sleep(10 * time.Second)
			return nil
		}, ProcessOptions{})
		begin := time.Now()
		err := <-p.done
		if !errors.Is(err, errHandler) || time.Since(begin) != 10*time.Second {
			t.Errorf("Process: got %v after %s, want the handler's error after 10s", err, time.Since(begin))
		}
		wantList(t, "acked", f.ackedPositions(), []string{"0"})
		wantList(t, "released", f.releasedPositions(), []string{"1", "2"})
	})
}

func TestAPanicOfBackoffDoesNotEndTheProgram(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "k")
		runs := 0
		p := start(f, func(*message.Message) error {
			if runs++; runs < 3 {
				return errHandler
			}
			return nil
		}, ProcessOptions{Backoff: func(int, error) time.Duration { panic("backoff") }})
		time.Sleep(time.Minute)
		wantNil(t, "Process", p.end())
		wantList(t, "acked", f.ackedPositions(), []string{"0"})
	})
}

func TestVerbsAreFoundInAChain(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Verb
	}{
		{nil, VerbRetry},
		{errHandler, VerbRetry},
		{RetryAfter(errHandler, time.Second), VerbRetry},
		{RetryAfter(Park(errHandler), time.Second), VerbPark},
		{Release(Stop(errHandler)), VerbRelease},
		{fmt.Errorf("wrapped: %w", Stop(errHandler)), VerbStop},
		{Undecodable(errHandler), VerbRetry},
		{&PanicError{Value: Park(errHandler)}, VerbRetry},
		{Stop(&PanicError{Value: Park(errHandler)}), VerbStop},
	} {
		if got := VerbOf(c.err); got != c.want {
			t.Errorf("VerbOf(%v): got %s, want %s", c.err, got, c.want)
		}
	}
	for _, err := range []error{Park(nil), Release(nil), Stop(nil), Undecodable(nil)} {
		if err != nil {
			t.Errorf("a verb of nil: got %v, want nil", err)
		}
	}
	if err := Undecodable(errHandler); !errors.Is(err, ErrUndecodable) || !errors.Is(err, errHandler) {
		t.Errorf("Undecodable: got %v, want one that matches ErrUndecodable and its cause", err)
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
