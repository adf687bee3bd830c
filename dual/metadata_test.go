package dual_test

import (
	"context"
	"testing"

	"github.com/dualstream/dualstream/adapters/memory"
	"github.com/dualstream/dualstream/dual"
	"github.com/dualstream/dualstream/durable"
)

func TestMetadataOfTheContextReachesTheStreamAndTheNotification(t *testing.T) {
	type key struct{}
	store, err := memory.New(memory.Config{Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	bus, err := memory.NewRealtime(memory.RealtimeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := dual.New(store, bus, dual.Options{Metadata: func(ctx context.Context) map[string]string {
		return map[string]string{"traceparent": ctx.Value(key{}).(string)}
	}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := bus.Subscribe(t.Context(), "events:order:1")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]string{"traceparent": "own"}
	_, err = p.Publish(context.WithValue(t.Context(), key{}, "common"),
		durable.Event{Type: "x", SourceType: "order", SourceID: "1"},
		durable.Event{Type: "x", SourceType: "order", SourceID: "1", Metadata: own})
	if err != nil {
		t.Fatal(err)
	}
	var stored []string
	for r, err := range store.Replay(t.Context(), "events", durable.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, r.Message.Metadata["traceparent"])
	}
	for i, want := range []string{"common", "own"} {
		signal, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stored[i] != want || signal.Notification.TraceParent != want {
			t.Errorf("event %d: stored %q, announced %q, want %q", i, stored[i], signal.Notification.TraceParent, want)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := bus.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := store.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
