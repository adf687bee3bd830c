package dual_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
)

// holding keeps an Append to the topic first until free is closed.
type holding struct {
	durable.Backend
	entered, free chan struct{}
}

func (h *holding) Append(ctx context.Context, topic string, msgs ...*message.Message) ([]durable.Position, error) {
	if topic == "first" {
		close(h.entered)
		<-h.free
	}
	return h.Backend.Append(ctx, topic, msgs...)
}

func TestCloseLetsACallInFlightReachAllItsTopics(t *testing.T) {
	b := &holding{memoryStream(t), make(chan struct{}), make(chan struct{})}
	p := newPublisher(t, b, nil, dual.Options{TopicOf: func(e durable.Event) string { return e.SourceID }})
	published, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := p.Publish(t.Context(), event("first"), event("second"))
		published <- err
	}()
	<-b.entered
	go func() { closed <- p.Close(t.Context()) }()
	for {
		_, err := p.Publish(t.Context(), event("other"))
		if errors.Is(err, durable.ErrClosed) {
			break
		}
		runtime.Gosched()
	}
	close(b.free)
	if err := <-published; err != nil {
		t.Errorf("Publish that was in flight: got %v, want nil", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: got %v, want nil", err)
	}
	if len(stored(t, b, "second")) != 1 {
		t.Error("the second topic of the call in flight has no event")
	}
}
