package durable

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

func nothing(*message.Message) error { return nil }

func TestTransientFetchErrorsAreRetried(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		for range 5 {
			f.errs <- ErrUnavailable
		}
		p := start(f, nothing, ProcessOptions{})
		time.Sleep(10 * time.Second)
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a")
		time.Sleep(time.Second)
		wantList(t, "acked", f.ackedPositions(), []string{"0"})
		wantNil(t, "Process", p.end())
	})
}

func TestTerminalFetchErrorsEndProcess(t *testing.T) {
	for _, want := range []error{ErrClosed, ErrPositionExpired, ErrFenced, ErrUnsupported} {
		bubble(t, func(t *testing.T) {
			f := newFake(AckEach)
			f.errs <- fmt.Errorf("fake: %w", want)
			p := start(f, nothing, ProcessOptions{})
			defer p.stop()
			if err := <-p.done; !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
			if !f.closed {
				t.Error("the consumer was not closed")
			}
		})
	}
}

func TestAckErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFake(AckThrough)
		failures := 3
		f.ack = func([]Delivery) error {
			if failures--; failures >= 0 {
				return ErrUnavailable
			}
			return nil
		}
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a")
		p := start(f, nothing, ProcessOptions{})
		time.Sleep(10 * time.Second)
		wantList(t, "acked after transient errors", f.ackedPositions(), []string{"0"})
		wantNil(t, "Process", p.end())
	})
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		f.ack = func([]Delivery) error { return ErrClosed }
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a")
		p := start(f, nothing, ProcessOptions{})
		defer p.stop()
		if err := <-p.done; !errors.Is(err, ErrClosed) {
			t.Errorf("a terminal error of Ack: got %v, want ErrClosed", err)
		}
	})
	bubble(t, func(t *testing.T) {
		f := newFake(AckEach)
		f.ack = func([]Delivery) error { return ErrUnavailable }
		f.feed <- deliveries(NewClaim(context.Background(), "t", 0, 1), 0, "a")
		p := start(f, nothing, ProcessOptions{})
		time.Sleep(time.Second)
		if err := p.end(); err == nil {
			t.Error("acknowledgements that were never taken: got nil, want an error")
		}
	})
}

func TestProcessRefusesBadArguments(t *testing.T) {
	ctx, g := context.Background(), Group{Name: "g", Topics: Topics("t")}
	for name, err := range map[string]error{
		"backend":     Process(ctx, nil, g, nothing, ProcessOptions{}),
		"handler":     Process(ctx, newFake(AckEach), g, nil, ProcessOptions{}),
		"group":       Process(ctx, newFake(AckEach), Group{}, nothing, ProcessOptions{}),
		"concurrency": Process(ctx, newFake(AckEach), g, nothing, ProcessOptions{Concurrency: -1}),
		"interval":    Process(ctx, newFake(AckEach), g, nothing, ProcessOptions{AckInterval: -1}),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

func TestHandleEventGivesTheEvent(t *testing.T) {
	msg, err := Event{Type: "made", SourceType: "order", SourceID: "1"}.Message("")
	wantNil(t, "Message", err)
	var got Event
	h := HandleEvent(func(_ context.Context, e Event) error { got = e; return errHandler })
	if err := h(msg); !errors.Is(err, errHandler) || got.ID != msg.UUID || got.SourceID != "1" {
		t.Errorf("got event %+v and error %v", got, err)
	}
	if err := h(message.NewMessage("x", nil)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a message that is no event: got %v, want ErrInvalid", err)
	}
	if _, ok := DeliveryOf(context.Background()); ok {
		t.Error("DeliveryOf found a delivery in a bare context")
	}
}
