package redisstream

import (
	"strconv"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestACompetitorFetchesNothingOfAPartitionThatIsPaused(t *testing.T) {
	topic := testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}})
	must(t, b.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 2}))
	stored := map[int]int{} // by partition
	put := func(from, n int) {
		msgs := make([]*message.Message, n)
		for i := range msgs {
			msgs[i] = message.NewMessage(strconv.Itoa(from+i), nil)
			msgs[i].Metadata[durable.MetaPartitionKey] = "k" + strconv.Itoa(i%30)
			stored[durable.Partition(durable.Key(msgs[i]), 2)]++
		}
		if _, err := b.Append(soon(t), topic, msgs...); err != nil {
			t.Fatal(err)
		}
	}
	put(0, 300)
	c := join(t, b, competing(topic, "m"))
	p := c.(durable.Pauser)
	if got := p.Claims(); got != 2 {
		t.Fatalf("got %d claims, want 2", got)
	}
	last, got := map[*durable.Claim]string{}, map[int]int{}
	next := func() durable.Delivery {
		d := fetch(t, c, 1)[0]
		id := entryID(d.Position)
		if last[d.Claim] != "" && compareIDs(id, last[d.Claim]) <= 0 {
			t.Errorf("partition %d: %s came after %s", d.Claim.Partition(), id, last[d.Claim])
		}
		last[d.Claim] = id
		got[d.Claim.Partition()]++
		must(t, c.Ack(t.Context(), d))
		return d
	}
	still := next().Claim
	p.Pause(still)
	p.Pause(still)
	put(300, 300)
	for other := 1 - still.Partition(); got[other] < stored[other]; {
		if d := next(); d.Claim == still {
			t.Fatalf("got %s of the partition that is paused", d.Position)
		}
	}
	p.Resume(still)
	p.Resume(still)
	for got[still.Partition()] < stored[still.Partition()] {
		next()
	}
}

func TestWhatWasSetAsideGoesToOthersWhenTheMemberLeaves(t *testing.T) {
	topic := testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}})
	store(t, b, topic, 0, 10)
	one := join(t, b, competing(topic, "one"))
	held := fetch(t, one, 1)[0]
	one.(durable.Pauser).Pause(held.Claim)
	must(t, one.Ack(t.Context(), held))
	must(t, one.Close(t.Context()))
	for _, d := range fetch(t, join(t, b, competing(topic, "two")), 9) {
		if d.Attempt != 1 {
			t.Errorf("%s: got attempt %d, want 1: it was never fetched", d.Message.UUID, d.Attempt)
		}
	}
}
