package durable

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func TestHandleReadsThePayload(t *testing.T) {
	type order struct{ Total int }
	var got []order
	h := Handle(nil, func(_ context.Context, o order, msg *message.Message) error {
		got = append(got, o)
		if msg.UUID != "1" {
			t.Errorf("got message %q, want 1", msg.UUID)
		}
		return errHandler
	})
	if err := h(message.NewMessage("1", []byte(`{"Total":3}`))); !errors.Is(err, errHandler) {
		t.Errorf("got %v, want the handler's error", err)
	}
	if err := h(message.NewMessage("1", []byte(`{"Total":`))); !errors.Is(err, ErrUndecodable) {
		t.Errorf("got %v, want ErrUndecodable", err)
	}
	if len(got) != 1 || got[0].Total != 3 {
		t.Errorf("got %v, want one order of 3", got)
	}
	data, err := JSON{}.Marshal(order{Total: 3})
	if err != nil || string(data) != `{"Total":3}` || (JSON{}).ContentType() != "application/json" {
		t.Errorf("got %s and %v", data, err)
	}
}

func TestWhatTheBackendCannotDecodeIsUndecodableForTypedHandlers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, h := range []message.NoPublishHandlerFunc{
			Handle(nil, func(context.Context, any, *message.Message) error { return nil }),
			HandleEvent(func(context.Context, Event) error { return nil }),
		} {
			f := newFake(AckEach)
			ds := deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "k")
			ds[0].Message.Payload, ds[0].DecodeErr = []byte(`{}`), errHandler
			f.feed <- ds
			var seen error
			p := start(f, h, ProcessOptions{OnAttempt: func(_ Delivery, _ time.Duration, err error) { seen = err }})
			time.Sleep(time.Millisecond)
			wantNil(t, "Process", p.end())
			if !errors.Is(seen, ErrUndecodable) || !errors.Is(seen, errHandler) {
				t.Errorf("got %v, want ErrUndecodable and the backend's reason", seen)
			}
		}
	})
}
