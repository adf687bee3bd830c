package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// javaMember is a member that is Kafka's own consumer, and tells what happens to it.
type javaMember struct{ *testenv.Process }

func startJavaMember(t *testing.T, b *Backend, group, topic, assignor string) javaMember {
	return javaMember{testenv.StartKafkaClient(t, testenv.VerifiableConsumer, "--bootstrap-server", b.cfg.Brokers[0],
		"--group-id", group, "--topic", topic, "--assignment-strategy", assignor, "--session-timeout", "30000", "--verbose")}
}

// javaEvent is a line of a javaMember.
type javaEvent struct {
	Name       string
	Partitions []struct{ Partition int32 }
	Partition  int32
	Offset     int64
	Key, Value string
}

// owned are the partitions that the member has, and the number of records it was given.
func (m javaMember) owned() (partitions map[int32]bool, records map[string]int) {
	partitions, records = map[int32]bool{}, map[string]int{}
	for _, line := range m.Lines() {
		var e javaEvent
		if json.Unmarshal([]byte(line), &e) != nil {
			continue
		}
		switch e.Name {
		case "partitions_assigned":
			for _, p := range e.Partitions {
				partitions[p.Partition] = true
			}
		case "partitions_revoked":
			for _, p := range e.Partitions {
				delete(partitions, p.Partition)
			}
		case "record_data":
			records[string(position(e.Partition, e.Offset, ""))]++
		}
	}
	return partitions, records
}

const cooperative = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"

func TestAGroupMayHaveMembersOfJavaBesideOurs(t *testing.T) {
	t.Parallel()
	for name, assignors := range map[string]string{
		"cooperative-sticky":             cooperative,
		"range, then cooperative-sticky": "org.apache.kafka.clients.consumer.RangeAssignor," + cooperative, // Java's default
	} {
		t.Run(name, func(t *testing.T) {
			b := openOn(t, quickly(t))
			const partitions = 6
			topic := newTopic(t, b, partitions)
			g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic), Member: "ours"}
			ours := join(t, b, g)
			handled := map[durable.Position]int{}
			at := mustAppend(t, b, topic, events(60, keyed(60))...)
			for _, d := range fetch(t, ours, 60) {
				handled[bare(d.Position)]++
				if err := ours.Ack(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			java := startJavaMember(t, b, g.Name, topic, assignors)
			testenv.Await(t, 2*soon, func() bool {
				theirs, _ := java.owned()
				return len(theirs) == partitions/2 && len(owned(ours)[topic]) == partitions/2
			}, "the partitions are spread")
			theirs, _ := java.owned()
			for _, p := range owned(ours)[topic] {
				if theirs[p] {
					t.Errorf("partition %d has two owners", p)
				}
			}
			at = append(at, mustAppend(t, b, topic, events(600, keyed(60))...)...)
			ctx, cancel := context.WithTimeout(t.Context(), 2*soon)
			defer cancel()
			left := func() int {
				_, records := java.owned()
				n := 0
				for _, p := range at {
					if handled[bare(p)]+records[string(bare(p))] == 0 {
						n++
					}
				}
				return n
			}
			for left() > 0 && ctx.Err() == nil {
				brief, done := context.WithTimeout(ctx, rejoinPause)
				ds, _ := ours.Fetch(brief, 100)
				done()
				for _, d := range ds {
					handled[bare(d.Position)]++
				}
				if err := ours.Ack(t.Context(), ds...); err != nil {
					t.Fatal(err)
				}
			}
			_, records := java.owned()
			for _, p := range at {
				if n := handled[bare(p)] + records[string(bare(p))]; n != 1 {
					t.Errorf("%s was handled %d times", p, n)
				}
			}
			java.Terminate()
			testenv.Await(t, 2*soon, func() bool { return len(owned(ours)[topic]) == partitions }, "we have all that Java had")
			more := mustAppend(t, b, topic, events(60, keyed(60))...)
			if ds := fetch(t, ours, len(more)); len(ds) != len(more) {
				t.Errorf("got %d", len(ds))
			}
			closeNow(t, ours)
		})
	}
}

func TestAGroupOfAnotherStrategyIsRefusedWithWhatToDo(t *testing.T) {
	t.Parallel()
	for _, assignor := range []string{"RangeAssignor", "RoundRobinAssignor"} {
		b := openOn(t, quickly(t))
		topic := newTopic(t, b, 2)
		group := testenv.Name(t, "g")
		java := startJavaMember(t, b, group, topic, "org.apache.kafka.clients.consumer."+assignor)
		testenv.Await(t, 2*soon, func() bool { theirs, _ := java.owned(); return len(theirs) == 2 }, "Java is the group")
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		c, err := b.Consume(ctx, durable.Group{Name: group, Topics: durable.Topics(topic)})
		if err == nil {
			_, err = c.Fetch(ctx, 1)
			closeNow(t, c)
		}
		cancel()
		if !errors.Is(err, durable.ErrUnsupported) {
			t.Errorf("%s: got %v, want ErrUnsupported", assignor, err)
		}
		if theirs, _ := java.owned(); len(theirs) != 2 {
			t.Errorf("%s: Java has %v after that, want what it had", assignor, theirs)
		}
		java.Kill()
	}
}
