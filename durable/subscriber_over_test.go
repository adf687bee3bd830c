package durable

import (
	"context"
	"errors"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
)

// The context that a receiver has asked for ends a moment after that of the attempt.
func TestAMessageWhoseContextIsOverIsNeverTakenForAcknowledged(t *testing.T) {
	over := errors.New("over")
	for range 20_000 {
		ctx, cancel := context.WithCancelCause(context.Background())
		msg := message.NewMessageWithContext(ctx, "1", nil)
		out, asked := make(chan *message.Message), make(chan struct{})
		go func() {
			_ = (<-out).Context().Done()
			close(asked)
		}()
		go func() {
			<-asked
			cancel(over)
		}()
		if err := deliver(context.Background(), out, msg); VerbOf(err) != VerbRelease || !errors.Is(err, over) {
			t.Fatalf("got %v, want the event given back", err)
		}
	}
}
