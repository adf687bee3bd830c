package durable

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
)

// answering is a backend whose Append returns err.
type answering struct {
	*fake
	err *error
}

func (a *answering) Append(_ context.Context, _ string, msgs ...*message.Message) ([]Position, error) {
	return make([]Position, len(msgs)), *a.err
}

func TestPublisherCountsWhatBecameOfEvents(t *testing.T) {
	outcome := error(nil)
	p := publisher(t, &answering{newFake(AckEach), &outcome}, PublisherOptions{MaxInFlight: 3})
	ctx := context.Background()
	msgs := []*message.Message{message.NewMessage("1", []byte("abc")), message.NewMessage("2", []byte("abc"))}
	_, err := p.Append(ctx, "t", msgs...)
	wantNil(t, "Append", err)
	outcome = &BatchError{Topic: "t", Outcomes: []Outcome{{Status: Stored}, {Status: Unknown, Err: errHandler}}}
	_, _ = p.Append(ctx, "t", msgs...)
	outcome = errHandler
	_, _ = p.Append(ctx, "t", msgs...)
	_, _ = p.Append(ctx, "bad topic", msgs...)
	_, _ = p.Append(ctx, "t", append(msgs, msgs...)...)
	want := PublisherStats{Calls: 3, Stored: 3, StoredBytes: 12, Failed: 3, Invalid: 6}
	if got := p.Stats(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
