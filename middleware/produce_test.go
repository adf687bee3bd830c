package middleware_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/middleware"
)

func TestProducedMessagesAreNotPublishedWhenTheEventWasGivenUp(t *testing.T) {
	publisher, err := durable.NewPublisher(newMemory(t, memory.Config{}), durable.PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, giveUp := context.WithCancel(t.Context())
	h := middleware.Produce{Publisher: publisher, Topic: "out"}.Middleware(func(msg *message.Message) ([]*message.Message, error) {
		giveUp()
		return []*message.Message{event(t, "2", "a")}, nil
	})
	msg := event(t, "1", "a")
	msg.SetContext(ctx)
	if _, err := h(msg); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
