package durable

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func retryAfterASecond(int, error) time.Duration { return time.Second }

// spoil does to msg what it can.
func spoil(msg *message.Message) {
	if d, ok := DeliveryOf(msg.Context()); ok && d.Message != msg {
		d.Message.Payload, d.Message.Metadata["a"] = nil, "spoilt"
	}
	for k := range msg.Metadata {
		msg.Metadata.Set(k, "spoilt")
	}
	msg.Metadata.Set("by", "the receiver")
	clear(msg.Payload)
	msg.UUID, msg.Payload = "spoilt", []byte("spoilt")
	msg.SetContext(context.Background())
}

func wantAsStored(t *testing.T, attempt int, msg *message.Message) {
	t.Helper()
	if string(msg.Payload) != "k" || len(msg.Metadata) != 2 || msg.Metadata["a"] != "1" || msg.Metadata["b"] != "2" {
		t.Errorf("attempt %d: got payload %q, metadata %v, want what was stored", attempt, msg.Payload, msg.Metadata)
	}
}

func TestTheFirstReceiverGetsTheMessageOfTheDeliveryAndLaterOnesGetItAsItWas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		ds := deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "k")
		own := ds[0].Message
		own.Metadata = message.Metadata{"a": "1", "b": "2"}
		f.feed <- ds
		s := subscriber(t, f, ProcessOptions{Backoff: retryAfterASecond})
		messages, err := s.Subscribe(t.Context(), "t")
		wantNil(t, "Subscribe", err)
		seen := map[*message.Message]bool{}
		for attempt := 1; attempt <= 4; attempt++ {
			msg := wantMessage(t, messages, "0")
			wantAsStored(t, attempt, msg)
			if d, _ := DeliveryOf(msg.Context()); d.Attempt != attempt || (msg == own) != (attempt == 1) || seen[msg] {
				t.Errorf("attempt %d: got attempt %d, the delivery's own message: %v, the one of an earlier attempt: %v", attempt, d.Attempt, msg == own, seen[msg])
			}
			seen[msg] = true
			d, _ := DeliveryOf(msg.Context())
			wantAsStored(t, attempt, d.Message)
			spoil(msg)
			if attempt == 4 {
				msg.Ack()
				break
			}
			msg.Nack()
			time.Sleep(time.Second)
		}
		wantNil(t, "Close", s.Close())
		wantList(t, "acked", f.ackedPositions(), []string{"0"})
	})
}

// The race detector judges.
func TestReceiversMayWorkOnMessagesAfterTheirAnswers(t *testing.T) {
	for name, watch := range map[string]func(Delivery, time.Duration, error){
		"alone":     nil,
		"OnAttempt": func(d Delivery, _ time.Duration, _ error) { Size(d.Message) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(AckEach)
			c := NewClaim(context.Background(), "t", 0, 1)
			for i := range 500 {
				ds := deliveries(c, i, "k")
				ds[0].Message.Metadata = message.Metadata{"a": "1", "b": "2"}
				f.feed <- ds
			}
			s := subscriber(t, f, ProcessOptions{OnAttempt: watch, Backoff: func(int, error) time.Duration { return 0 }})
			messages, err := s.Subscribe(t.Context(), "t")
			wantNil(t, "Subscribe", err)
			for i := range 1000 { // each twice
				msg := <-messages
				wantAsStored(t, 1+i%2, msg)
				if i%2 == 0 {
					msg.Nack()
				} else {
					msg.Ack()
				}
				spoil(msg)
			}
			wantNil(t, "Close", s.Close())
			if got := len(f.ackedPositions()); got != 500 {
				t.Errorf("%d acked, want 500", got)
			}
		})
	}
}

func TestAMessageThatCannotBeAnsweredIsGivenAsACopy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		ds := deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a", "b", "c")
		ds[0].Message.Ack()
		ds[1].Message.Nack()
		ds[2].Message = &message.Message{UUID: "2"} // as a Marshaler may make it
		f.feed <- ds
		s := subscriber(t, f, ProcessOptions{})
		messages, err := s.Subscribe(t.Context(), "t")
		wantNil(t, "Subscribe", err)
		var got []*message.Message
		for _, id := range []string{"0", "1", "2"} {
			got = append(got, wantMessage(t, messages, id))
		}
		time.Sleep(time.Minute)
		wantList(t, "acked before the Ack", f.ackedPositions(), nil)
		wantList(t, "released before the Ack", f.releasedPositions(), nil)
		for _, msg := range got {
			msg.Ack()
		}
		synctest.Wait()
		wantNil(t, "Close", s.Close())
		wantList(t, "acked", sorted(f.ackedPositions()), []string{"0", "1", "2"})
	})
}

func TestAnAnswerThatComesTooLateIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		claim := NewClaim(context.Background(), "t", 0, 1)
		f.feed <- deliveries(claim, 0, "a")
		s := subscriber(t, f, ProcessOptions{})
		messages, err := s.Subscribe(t.Context(), "t")
		wantNil(t, "Subscribe", err)
		msg := wantMessage(t, messages, "0")
		synctest.Wait()
		claim.Lose(ErrFenced)
		synctest.Wait()
		if msg.Ack() {
			t.Error("the Ack of a message whose claim is lost was taken")
		}
		wantNil(t, "Close", s.Close())
		wantList(t, "acked", f.ackedPositions(), nil)
	})
}

func TestTheMemoryOfLargePayloadsIsNotKept(t *testing.T) {
	var o original
	for _, n := range []int{sparePayload + 1, 100} {
		o.remember(message.NewMessage("1", make([]byte, n)))
		if got := o.message(); len(got.Payload) != n || got.UUID != "1" {
			t.Errorf("got %q with %d bytes, want 1 with %d", got.UUID, len(got.Payload), n)
		}
		o.forget()
		if cap(o.payload) > sparePayload {
			t.Errorf("after %d bytes: room for %d is kept, want at most %d", n, cap(o.payload), sparePayload)
		}
	}
}
