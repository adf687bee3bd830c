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
		of := &task{d: &Delivery{Message: message.NewMessage("1", nil)}, ctx: &deliveryContext{Context: ctx}}
		g := newGiven(of, &original{})
		s, asked := &giving{out: make(chan *message.Message, 1)}, make(chan struct{})
		s.out <- g.msg
		go func() {
			_ = (<-s.out).Context().Done()
			close(asked)
		}()
		go func() {
			<-asked
			cancel(over)
		}()
		if err := s.await(g); VerbOf(err) != VerbRelease || !errors.Is(err, over) {
			t.Fatalf("got %v, want the event given back", err)
		}
	}
}
