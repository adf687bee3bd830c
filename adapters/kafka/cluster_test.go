package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// pace is how many messages of each caller are stored between two faults.
const pace = 100

func TestACluster(t *testing.T) {
	t.Parallel()
	k := testenv.StartKafka(t, testenv.KafkaOptions{Nodes: 3})
	t.Run("nothing is lost, doubled or inverted while leaders die and freeze", func(t *testing.T) { leadersDieAndFreeze(t, k) })
	k.Restart() // all of them know each other again
	t.Run("nothing is lost while leaders move and a broker is removed for good", func(t *testing.T) { leadersMove(t, k) })
}

func leadersDieAndFreeze(t *testing.T, k *testenv.KafkaCluster) {
	b := openOn(t, Config{Brokers: k.Brokers()})
	topic := newTopic(t, b, 6)
	s := &story{told: map[string]durable.Status{}, at: map[string]durable.Position{}}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	callers := make([]*steady, 8)
	var wg sync.WaitGroup
	for i := range callers {
		callers[i] = &steady{stored: make(chan struct{}, 1)}
		wg.Go(func() { callers[i].run(ctx, b, topic, s, i) })
	}
	await := func(when string) {
		t.Helper()
		for i, c := range callers {
			for range pace {
				if _, ok := <-c.stored; !ok {
					t.Fatalf("%s: caller %d: %v", when, i, c.err)
				}
			}
		}
	}
	await("at first")
	k.Node(1).Kill()
	await("without a node")
	k.Node(1).Restart()
	await("with the node again")
	k.Node(2).Freeze()
	await("with a frozen node")
	k.Node(2).Thaw()
	await("with a thawed node")
	stop()
	for _, c := range callers {
		go func() {
			for range c.stored {
			}
		}()
	}
	wg.Wait()
	s.check(t, storedIn(t, b, topic, 6))
}

// storedIn is what is in topic, in the shape of the model.
func storedIn(t *testing.T, b *Backend, topic string, n int) []modelPartition {
	t.Helper()
	out := make([]modelPartition, n)
	for _, r := range replayed(t, b, topic, durable.Range{}) {
		out[r.Partition].log = append(out[r.Partition].log, string(r.Message.Payload))
	}
	return out
}

// steady appends one message after the other, of one key, and tells of each that was stored.
type steady struct {
	stored chan struct{}
	err    error // read when stored is closed
}

func (c *steady) run(ctx context.Context, b *Backend, topic string, s *story, caller int) {
	defer close(c.stored)
	for n := 1; ctx.Err() == nil; n++ {
		msg := message.NewMessage("", fmt.Appendf(nil, "%d-0-%d", caller, n))
		msg.Metadata.Set(durable.MetaPartitionKey, fmt.Sprint(caller))
		ps, err := b.Append(ctx, topic, msg)
		s.tell([]*message.Message{msg}, ps, err)
		if err != nil && !errors.Is(err, durable.ErrUnavailable) && ctx.Err() == nil {
			c.err = err
			return
		}
		if err == nil {
			c.stored <- struct{}{}
		}
	}
}

// leadersMove ends with a cluster that lacks a broker.
func leadersMove(t *testing.T, k *testenv.KafkaCluster) {
	cfg := Config{Brokers: k.Brokers()}
	b := openOn(t, cfg)
	topic := newTopic(t, b, 6)
	g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic), Member: "first"}
	var h durabletest.History
	var off cuts
	first := work(t, cfg, g, &h, &off)
	g.Member = "second"
	second := work(t, cfg, g, &h, &off)
	stop := feed(t, b, topic, 50, &h)
	defer stop()
	goesOn := func(when string) {
		t.Helper()
		for _, w := range []*worker{first, second} {
			before := w.handled.Load()
			testenv.Await(t, 2*soon, func() bool { return w.handled.Load() > before+pace }, when+" a member goes on")
		}
	}
	goesOn("at first")
	for turn := range 3 { // every partition has every broker as its leader
		plan := make([][]int32, 6)
		for p := range plan {
			for i := range 3 {
				plan[p] = append(plan[p], int32((p+turn+i)%3+1))
			}
		}
		testenv.Await(t, 2*soon, func() bool { return b.admin.AlterPartitionReassignments(topic, plan) == nil }, "replicas are told their order")
		testenv.Await(t, 2*soon, func() bool {
			_, err := b.admin.ElectLeaders(sarama.PreferredElection, map[string][]int32{topic: {0, 1, 2, 3, 4, 5}})
			_ = b.client.RefreshMetadata(topic)
			for p := range plan {
				if leader, err := b.client.Leader(topic, int32(p)); err != nil || leader.ID() != plan[p][0] {
					return false
				}
			}
			return err == nil
		}, "the leaders have moved")
		goesOn("after leaders moved")
	}
	k.Node(2).Kill()
	goesOn("without a broker")
	late := g
	late.Member = "late" // of a program that still names the broker that is gone
	third := work(t, cfg, late, &h, &off)
	testenv.Await(t, 2*soon, func() bool { return third.handled.Load() > 0 }, "a member joins without the broker")
	stop()
	settleDown(t, &h, durabletest.Promise{Ordered: true, Exclusive: true})
}
