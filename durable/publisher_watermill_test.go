package durable

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Watermill's Timeout hands back messages whose context has ended, and its PoisonQueue publishes them.
func TestPublishTakesAMessageWhoseContextHasEnded(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "kept"))
	cancel()
	msg := message.NewMessageWithContext(ctx, "1", nil)
	b := &seeing{fake: newFake(AckEach), see: func(ctx context.Context) {
		if err, v := ctx.Err(), ctx.Value(key{}); err != nil || v != "kept" {
			t.Errorf("appended with a context of error %v and value %v, want a live one with the message's values", err, v)
		}
	}}
	p := publisher(t, b, PublisherOptions{})
	wantNil(t, "Publish", p.Publish("t", msg))
	if _, err := p.Append(ctx, "t", msg); !errors.Is(err, context.Canceled) {
		t.Errorf("Append in a context that has ended: %v, want %v", err, context.Canceled)
	}
}

func TestPublishIsBoundedWithoutAContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := publisher(t, newStalled(), PublisherOptions{Wait: time.Hour})
		begin := time.Now()
		err := p.Publish("t", batch("1", 1)...)
		wantAll(t, err, context.DeadlineExceeded, Unknown, 1)
		if got, want := time.Since(begin), time.Hour+publishTimeout; got != want {
			t.Errorf("Publish took %s on a backend that does not answer, want %s", got, want)
		}
	})
}

// seeing is a backend that shows the context of each append.
type seeing struct {
	*fake
	see func(context.Context)
}

func (s *seeing) Append(ctx context.Context, _ string, msgs ...*message.Message) ([]Position, error) {
	s.see(ctx)
	return make([]Position, len(msgs)), nil
}
