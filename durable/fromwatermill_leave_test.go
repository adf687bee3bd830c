package durable_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
)

// hanging is a subscriber whose first subscription ends after one message, and whose second one is not made until end.
type hanging struct {
	first chan *message.Message
	begun chan struct{} // closed by the second Subscribe
	end   chan struct{}
}

func (h *hanging) Close() error { return nil }

func (h *hanging) Subscribe(context.Context, string) (<-chan *message.Message, error) {
	if first := h.first; first != nil {
		h.first = nil
		return first, nil
	}
	close(h.begun)
	<-h.end
	return make(chan *message.Message), nil
}

func TestATopicIsRemovedWhileItsSubscribeHangs(t *testing.T) {
	h := &hanging{first: make(chan *message.Message, 1), begun: make(chan struct{}), end: make(chan struct{})}
	h.first <- message.NewMessage("a", nil)
	close(h.first)
	b := fromWatermill(t, durable.Watermill{Publisher: &failing{}, Subscriber: func(g durable.Group) (message.Subscriber, error) {
		if g.Topics[0].Topic == "t" {
			return h, nil
		}
		return &noting{}, nil
	}})
	c, err := b.Consume(t.Context(), competing("t", "other"))
	if err != nil {
		t.Fatal(err)
	}
	d := fetchOne(t, c)
	within(t, "the second Subscribe", func(ctx context.Context) error {
		select {
		case <-h.begun:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	within(t, "SetTopics", func(ctx context.Context) error { return c.SetTopics(ctx, durable.Topics("other")...) })
	if d.Claim.Lost() {
		t.Error("the claim is lost while a delivery is not answered")
	}
	within(t, "Ack", func(ctx context.Context) error { return c.Ack(ctx, d) })
	select {
	case <-d.Claim.Context().Done():
	case <-time.After(30 * time.Second):
		t.Error("the claim of a topic that was removed is not lost")
	}
	close(h.end)
	within(t, "Close", c.Close)
}
