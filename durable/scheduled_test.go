package durable_test

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/durable"
)

func TestOnlyProcessSchedulesByTheErrorOfItsHandler(t *testing.T) {
	b, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close(context.Background()) }()
	msg, err := durable.Event{Type: "x", SourceType: "s", SourceID: "1"}.Message("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Append(t.Context(), "t", msg); err != nil {
		t.Fatal(err)
	}
	if durable.Scheduled(t.Context()) {
		t.Error("outside of Process: got true, want false")
	}
	ctx, stop := context.WithCancel(t.Context())
	err = durable.Process(ctx, b, durable.Group{Name: "g", Topics: durable.Topics("t")}, func(msg *message.Message) error {
		if !durable.Scheduled(msg.Context()) {
			t.Error("under Process: got false, want true")
		}
		stop()
		return nil
	}, durable.ProcessOptions{})
	if err != nil {
		t.Errorf("Process: got %v, want nil", err)
	}
	s, err := durable.NewSubscriber(b, durable.Group{Name: "h"}, durable.ProcessOptions{})
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := s.Subscribe(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	got := <-msgs
	if _, known := durable.DeliveryOf(got.Context()); !known || durable.Scheduled(got.Context()) {
		t.Errorf("of a Subscriber: delivery known %t, scheduled %t, want known and not scheduled", known, durable.Scheduled(got.Context()))
	}
	got.Ack()
	if err := s.Close(); err != nil {
		t.Errorf("Close: got %v, want nil", err)
	}
}
