package kafka

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestTheProducerForgetsTopicsThatAreGone(t *testing.T) {
	t.Parallel()
	b, other := opened(t), opened(t)
	stays := newTopic(t, b, 3)
	mustAppend(t, b, stays, events(30, keyed(30))...)
	for range 3 {
		gone := newTopic(t, other, 3)
		first := mustAppend(t, b, gone, events(30, keyed(30))...)
		if err := other.DeleteTopic(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		testenv.Await(t, soon, func() bool { // a leader serves the topic until it has heard
			_, err := b.Append(t.Context(), gone, events(30, keyed(30))...)
			return errors.Is(err, durable.ErrTopicNotFound)
		}, "the leaders know that the topic is gone")
		testenv.Await(t, soon, func() bool { return len(b.writer.known()) == 1 }, "the lanes are dropped")
		if err := other.CreateTopic(t.Context(), durable.TopicSpec{Name: gone, Partitions: 3}); err != nil {
			t.Fatal(err)
		}
		again := mustAppend(t, b, gone, events(30, keyed(30))...)
		if incarnationIn(first[0]) == incarnationIn(again[0]) || incarnationIn(again[0]) == "" {
			t.Errorf("got %s after %s, want another incarnation", again[0], first[0])
		}
		if got := replayed(t, b, gone, durable.Range{}); len(got) != 30 {
			t.Errorf("got %d records, want 30", len(got))
		}
		if err := other.DeleteTopic(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		testenv.Await(t, soon, func() bool {
			_, err := b.Append(t.Context(), gone, events(1, oneKey)...)
			return errors.Is(err, durable.ErrTopicNotFound) && len(b.writer.known()) == 1
		}, "the lanes are dropped again")
	}
	mustAppend(t, b, stays, events(30, keyed(30))...)
	if got := replayed(t, b, stays, durable.Range{}); len(got) != 60 {
		t.Errorf("got %d records of the topic that stays, want 60", len(got))
	}
}

func TestAnAppendToATopicThatWasMadeAgainUnseenIsOfTheNewOne(t *testing.T) {
	b, other := opened(t), opened(t)
	topic := newTopic(t, b, 1)
	first := mustAppend(t, b, topic, events(50, oneKey)...)
	remake(t, other, topic, 1)
	testenv.Await(t, soon, func() bool {
		ps, err := b.Append(t.Context(), topic, events(1, oneKey)...)
		return err == nil && incarnationIn(ps[0]) != "" && incarnationIn(ps[0]) != incarnationIn(first[0])
	}, "positions are of the new topic")
}

// known are the topics that the writer keeps something of.
func (w *writer) known() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.topics))
}
