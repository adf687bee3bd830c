package redisstream

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestTopicsAreAddedAndRemovedWhileAMemberRuns(t *testing.T) {
	addr := testenv.Redis(t)
	one, two := testenv.Name(t, "one"), testenv.Name(t, "two")
	b := open(t, Config{Connection: Connection{Addr: addr}})
	g := durable.Group{Name: "g", Topics: durable.Topics(one)}
	c := join(t, b, g)
	store(t, b, one, 0, 3)
	ds := fetch(t, c, 3)
	store(t, b, two, 0, 3)
	if err := c.SetTopics(t.Context(), durable.TopicStart{Topic: one}, durable.TopicStart{Topic: two, Start: durable.Newest()}); err != nil {
		t.Fatal(err)
	}
	store(t, b, two, 3, 4)
	if d := fetch(t, c, 1)[0]; d.Topic != two || d.Message.UUID != "id-3" {
		t.Errorf("got %s of %s, want id-3 of the added topic", d.Message.UUID, d.Topic)
	}
	if ds[0].Claim.Lost() {
		t.Error("the claim of the first topic was disturbed")
	}
	if err := c.SetTopics(t.Context(), durable.Topics(two)...); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ds[0].Claim.Draining():
	case <-soon(t).Done():
		t.Fatal("the claim of the removed topic is not drained")
	}
	if ds[0].Claim.Lost() {
		t.Error("the claim is lost while deliveries run, want it draining")
	}
	if err := c.Ack(t.Context(), ds...); err != nil {
		t.Error(err)
	}
	select {
	case <-ds[0].Claim.Context().Done():
	case <-soon(t).Done():
		t.Fatal("the drained claim does not end")
	}
	store(t, b, one, 3, 4)
	g.Topics = durable.Topics(one)
	if d := fetch(t, join(t, b, g), 1)[0]; d.Message.UUID != "id-3" {
		t.Errorf("got %s, want what came after the acknowledged ones", d.Message.UUID)
	}
	if err := c.SetTopics(context.Background()); err == nil {
		t.Error("got nil for no topics, want an error")
	}
}

func TestPartitionsThatAreAddedAreNoticed(t *testing.T) {
	addr := testenv.Redis(t)
	f := newFleet(t, addr, 2, calm)
	b := open(t, f.cfg)
	f.member("one")
	f.member("two")
	err := b.CreateTopic(t.Context(), durable.TopicSpec{Name: f.topic, Partitions: 5})
	if !errors.Is(err, durable.ErrTopicExists) || !strings.Contains(err.Error(), "create another topic") {
		t.Errorf("got %v, want ErrTopicExists and what to do", err)
	}
	if err := client(t, addr).HSet(t.Context(), topicKey(f.topic), fieldParts, 5).Err(); err != nil { // by hand, while it is empty
		t.Fatal(err)
	}
	testenv.Await(t, time.Minute, func() bool { n, err := b.partitions(t.Context(), f.topic); return n == 5 && err == nil }, "the writer sees it")
	f.publish(b, 300)
	f.judge(b, orderly)
}
