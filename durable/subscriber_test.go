package durable

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func subscriber(t *testing.T, b Backend, o ProcessOptions) *Subscriber {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s, err := NewSubscriber(b, Group{Name: "g"}, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// receive is the next message, nil where none is there now or the channel is closed.
func receive(messages <-chan *message.Message) *message.Message {
	synctest.Wait()
	select {
	case msg := <-messages:
		return msg
	default:
		return nil
	}
}

func wantMessage(t *testing.T, messages <-chan *message.Message, uuid string) *message.Message {
	t.Helper()
	msg := receive(messages)
	got := ""
	if msg != nil {
		got = msg.UUID
	}
	if got != uuid {
		t.Fatalf("received %q, want %q", got, uuid)
	}
	return msg
}

func TestASubscriberAcknowledgesWhatItsReceiverDoes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		ds := deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a", "a", "b", "", "")
		ds[0].Message.Metadata = nil
		f.feed <- ds
		s := subscriber(t, f, ProcessOptions{Backoff: func(int, error) time.Duration { return time.Second }})
		messages, err := s.Subscribe(context.WithValue(t.Context(), testKey{}, "value"), "t")
		wantNil(t, "Subscribe", err)
		got := map[string]*message.Message{}
		for msg := receive(messages); msg != nil; msg = receive(messages) {
			got[msg.UUID] = msg
		}
		if len(got) != 3 || got["0"] == nil || got["2"] == nil || got["3"] == nil {
			t.Fatalf("got %v, want the first of each key and of those without one", got)
		}
		d, ok := DeliveryOf(got["0"].Context())
		if !ok || d.Key != "a" || d.Group != "g" || got["0"].Context().Value(testKey{}) != "value" {
			t.Error("the context lacks the delivery or the values of Subscribe's")
		}
		got["0"].Metadata.Set("by", "the receiver")
		got["0"].Nack()
		got["2"].Ack()
		got["3"].Ack()
		wantMessage(t, messages, "4").Ack()
		if receive(messages) != nil {
			t.Error("a message came before the backoff was over")
		}
		if got["2"].Context().Err() == nil || got["0"].Context().Err() == nil {
			t.Error("the context of an answered message has not ended")
		}
		time.Sleep(time.Second)
		again := wantMessage(t, messages, "0")
		if len(again.Metadata) != 0 {
			t.Errorf("got %v, want nothing of what the receiver of the first attempt has set", again.Metadata)
		}
		again.Ack()
		wantMessage(t, messages, "1").Ack()
		time.Sleep(time.Second)
		wantNil(t, "Close", errors.Join(s.Close(), s.Close()))
		if _, open := <-messages; open {
			t.Error("the channel is open after Close")
		}
		wantList(t, "acked", sorted(f.ackedPositions()), []string{"0", "1", "2", "3", "4"})
		if _, err := s.Subscribe(t.Context(), "t"); !errors.Is(err, ErrClosed) {
			t.Errorf("Subscribe after Close: got %v, want ErrClosed", err)
		}
	})
}

func TestTheEndOfASubscriptionWaitsForReceiversButNotForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a", "b", "c")
		s := subscriber(t, f, ProcessOptions{Concurrency: 3, DrainTimeout: time.Minute})
		ctx, cancel := context.WithCancel(t.Context())
		messages, err := s.Subscribe(ctx, "t")
		wantNil(t, "Subscribe", err)
		byID := map[string]*message.Message{}
		for range 2 { // one of three is not taken
			msg := receive(messages)
			byID[msg.UUID] = msg
		}
		begin := time.Now()
		cancel()
		synctest.Wait()
		for id, msg := range byID {
			if id == "0" {
				msg.Ack()
			} else if msg.Context().Err() != nil {
				t.Error("the context of a message ended before DrainTimeout")
			}
		}
		for range messages {
			t.Error("a message came after the end")
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("the end took %s, want DrainTimeout at most", took)
		}
		wantNil(t, "Close", s.Close())
		if got := len(f.ackedPositions()) + len(f.releasedPositions()); got == 0 || len(f.releasedPositions()) < 2 {
			t.Errorf("acked %v, released %v", f.ackedPositions(), f.releasedPositions())
		}
	})
}

func TestASubscriberRefusesBadArguments(t *testing.T) {
	if _, err := NewSubscriber(nil, Group{Name: "g"}, ProcessOptions{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("no backend: got %v", err)
	}
	if _, err := NewSubscriber(newFake(AckEach), Group{}, ProcessOptions{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("no group: got %v", err)
	}
	s := subscriber(t, newFake(AckEach), ProcessOptions{})
	if _, err := s.Subscribe(t.Context(), "bad topic"); !errors.Is(err, ErrInvalid) {
		t.Errorf("bad topic: got %v", err)
	}
	if err := s.SubscribeInitialize("bad topic"); !errors.Is(err, ErrInvalid) {
		t.Errorf("bad topic: got %v", err)
	}
	wantNil(t, "SubscribeInitialize", s.SubscribeInitialize("t"))
	wantNil(t, "Close", s.Close())
}

func TestTheContextOfAGivenMessageEndsWithItsAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, asked := range []bool{false, true} {
			f := newFake(AckEach)
			f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "k")
			s := subscriber(t, f, ProcessOptions{})
			messages, err := s.Subscribe(t.Context(), "t")
			wantNil(t, "Subscribe", err)
			msg := wantMessage(t, messages, "0")
			ctx := msg.Context()
			if _, ok := DeliveryOf(ctx); !ok {
				t.Error("the context has no delivery")
			}
			var child context.Context
			if asked {
				var cancel context.CancelFunc
				child, cancel = context.WithCancel(ctx)
				defer cancel()
				if ctx.Err() != nil || child.Err() != nil {
					t.Error("the context has ended before the answer")
				}
			}
			msg.Ack()
			synctest.Wait()
			if !errors.Is(context.Cause(ctx), context.Canceled) || !errors.Is(ctx.Err(), context.Canceled) || !isClosed(ctx.Done()) {
				t.Errorf("asked before: %v: the context goes on after the answer: %v", asked, context.Cause(ctx))
			}
			if asked && !isClosed(child.Done()) {
				t.Error("a context that descends from it goes on after the answer")
			}
			wantNil(t, "Close", s.Close())
		}
	})
}

// joining notes as whom members join.
type joining struct {
	*fake
	members []string
}

func (j *joining) Consume(_ context.Context, g Group) (Consumer, error) {
	j.members = append(j.members, g.Member)
	return j.fake, nil
}

func TestInitializingDisturbsNoMemberThatRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		j := &joining{fake: newFake(AckEach)}
		s, err := NewSubscriber(j, Group{Name: "g", Member: "m"}, ProcessOptions{})
		wantNil(t, "NewSubscriber", err)
		for range 2 {
			_, err := s.Subscribe(t.Context(), "t")
			wantNil(t, "Subscribe", err)
		}
		wantNil(t, "SubscribeInitialize", s.SubscribeInitialize("t"))
		wantList(t, "members", j.members, []string{"m", "m-2", "m-initialize"})
		wantNil(t, "Close", s.Close())
	})
}
