package durable

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func TestTheKeyThatStallsTheWindowIsNamedOnce(t *testing.T) {
	for _, mode := range []AckMode{AckEach, AckThrough} {
		bubble(t, func(t *testing.T) {
			var m Monitor
			var log logged
			f := newFake(mode)
			c := NewClaim(context.Background(), "t", 3, 1)
			f.feed <- deliveries(c, 0, "ok", "slow", "slow", "slow", "slow", "slow", "slow", "slow", "slow", "ok")
			free := make(chan struct{})
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- Process(ctx, f, Group{Name: "g", Topics: Topics("t")}, func(msg *message.Message) error {
					if msg.UUID == "1" {
						<-free
					}
					if string(msg.Payload) == "slow" {
						time.Sleep(10 * time.Second) // one by one: what is behind it was fetched long ago, too
					}
					return nil
				}, ProcessOptions{MaxInFlight: 8, StallAfter: time.Minute, Monitor: &m, Logger: log.logger()})
			}()
			time.Sleep(50 * time.Second)
			if s := m.Stats(); len(s.Stalls) != 0 {
				t.Errorf("mode %d, before StallAfter: got %+v, want no stall", mode, s.Stalls)
			}
			time.Sleep(time.Hour)
			s := m.Stats()
			if len(s.Stalls) != 1 || s.Total().Stalls != 1 {
				t.Fatalf("mode %d: got %+v, want one stall", mode, s)
			}
			if got := s.Stalls[0]; got.Topic != "t" || got.Partition != 3 || got.Position != "1" || got.Key != "slow" || got.Held != 8 {
				t.Errorf("mode %d: got %+v, want the first of the slow key", mode, got)
			}
			if n := log.count("keeps the window full"); n != 1 || log.count("partition=3 position=1") != 1 {
				t.Errorf("mode %d: %d lines, want one that names the partition and the position", mode, n)
			}
			close(free)
			time.Sleep(10 * time.Minute)
			if s := m.Stats(); len(s.Stalls) != 0 || s.Total().Stalls != 1 || s.Total().Acked != 10 {
				t.Errorf("mode %d, afterwards: got %+v, want no stall and all acked", mode, s)
			}
			if n := log.count("moves again"); n != 1 {
				t.Errorf("mode %d: %d lines about the end, want one", mode, n)
			}
			stop()
			wantNil(t, "Process", <-done)
		})
	}
}

func TestABusyWindowIsNoStall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var m Monitor
		f := newFake(AckEach)
		c := NewClaim(context.Background(), "t", 0, 1)
		for i := range 100 {
			f.feed <- deliveries(c, 10*i, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
		}
		p := start(f, func(*message.Message) error { time.Sleep(time.Second); return nil },
			ProcessOptions{MaxInFlight: 16, Concurrency: 4, StallAfter: 30 * time.Second, Monitor: &m})
		time.Sleep(10 * time.Minute)
		if s := m.Stats().Total(); s.Stalls != 0 || s.Acked != 1000 {
			t.Errorf("got %+v, want 1000 acked and no stall", s)
		}
		wantNil(t, "Process", p.end())
	})
}
