package kafka

import (
	"context"
	"testing"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// replayPastAKill follows past a broker that was away.
func replayPastAKill(t *testing.T, k *testenv.KafkaCluster) {
	b := openOn(t, Config{Brokers: k.Brokers()})
	topic := newTopic(t, b, 2)
	at := mustAppend(t, b, topic, events(1, oneKey)...)[0]
	ctx, cancel := context.WithTimeout(t.Context(), 4*soon)
	defer cancel()
	rounds := 0
	for r, err := range b.Replay(ctx, topic, durable.Range{Follow: true}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Position != at {
			t.Fatalf("got %s, want %s", r.Position, at)
		}
		if rounds++; rounds == 2 {
			return
		}
		k.Node(1).Kill()
		k.Node(1).Restart()
		at = mustAppend(t, b, topic, events(1, oneKey)...)[0]
	}
	t.Errorf("it ended after %d rounds", rounds)
}
