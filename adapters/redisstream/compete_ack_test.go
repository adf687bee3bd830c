package redisstream

import (
	"context"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// ofTopic is what m holds of topic, and what of it is still to be acknowledged.
func ofTopic(m *competitor, topic string) (held, acks int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.shares {
		if s.topic == topic {
			held, acks = held+len(s.held), acks+len(s.acks)+len(s.acking)
		}
	}
	return held, acks
}

// TestAcksThatAreRefusedKeepNoOthers has a topic whose acks the server refuses, beside one whose acks it takes.
func TestAcksThatAreRefusedKeepNoOthers(t *testing.T) {
	b, raw := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), client(t, testenv.Redis(t))
	bad, good := testenv.Name(t, "bad"), testenv.Name(t, "good")
	store(t, b, bad, 0, 3)
	store(t, b, good, 3, 20)
	g := competing(bad, "m")
	g.Topics = durable.Topics(bad, good)
	c, err := b.Consume(soon(t), g)
	must(t, err)
	m := c.(*competitor)
	defer func() { _ = c.Close(context.Background()) }() // which is refused, too
	ds := fetch(t, c, 20)
	must(t, raw.Set(t.Context(), bad, "no stream", 0).Err())
	must(t, c.Ack(t.Context(), ds...))
	testenv.Await(t, 20*time.Second, func() bool {
		held, acks := ofTopic(m, good)
		return held == 0 && acks == 0
	}, "the acks that the server took are forgotten")
	if n := raw.XPending(t.Context(), good, "g").Val().Count; n != 0 {
		t.Errorf("got %d pending entries of the good topic, want none", n)
	}
	if held, acks := ofTopic(m, bad); held != 3 || acks != 3 {
		t.Errorf("got %d held and %d acks of the bad topic, want the 3 that were refused", held, acks)
	}
	if n := b.Stats().LateAcks; n != 0 {
		t.Errorf("got %d late acks, want none", n)
	}
	must(t, raw.Del(t.Context(), bad).Err())
	testenv.Await(t, 20*time.Second, func() bool { held, acks := ofTopic(m, bad); return held+acks == 0 }, "the others are settled, too")
}
