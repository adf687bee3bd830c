package redisstream

import (
	"slices"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestATopicThatComesBackWaitsForWhatRuns(t *testing.T) {
	first, second := testenv.Name(t, "t"), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}})
	store(t, b, first, 0, 1)
	c := join(t, b, competing(first, "m"))
	running := fetch(t, c, 1)
	must(t, c.SetTopics(t.Context(), durable.Topics(second)...))
	must(t, c.SetTopics(t.Context(), durable.Topics(first, second)...))
	for i := range 4 { // of which each is a turn of the reader
		store(t, b, second, 10+i, 11+i)
		d := fetch(t, c, 1)
		if d[0].Topic != second {
			t.Fatalf("got %s while it is handled", d[0].Message.UUID)
		}
		must(t, c.Ack(t.Context(), d...))
	}
	store(t, b, first, 1, 2)
	must(t, c.Ack(t.Context(), running...))
	if d := fetch(t, c, 1)[0]; d.Message.UUID != "id-1" || d.Claim == running[0].Claim {
		t.Errorf("got %s, want id-1 under a new claim", d.Message.UUID)
	}
}

func TestWhatWasAcknowledgedMeanwhileIsNotLost(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw := client(t, addr)
	ps, err := open(t, Config{Connection: Connection{Addr: addr}}).Append(t.Context(), topic, events(3)...)
	must(t, err)
	must(t, raw.XGroupCreate(t.Context(), topic, "g", "0").Err())
	pend(t, raw, topic, "m", 3)
	must(t, raw.XAck(t.Context(), topic, "g", string(ps[0])).Err())
	must(t, raw.XDel(t.Context(), topic, string(ps[1])).Err())
	reply, err := adoptScript.Run(t.Context(), raw, []string{topic}, "g", "m", string(ps[0]), string(ps[1]), string(ps[2])).Slice()
	must(t, err)
	es, err := parseEntries(reply[1], 0)
	must(t, err)
	if reply[0] != int64(2) || len(es) != 1 || !slices.ContainsFunc(es, func(e entry) bool { return e.id == string(ps[2]) }) {
		t.Errorf("got %v, want two that are pending, of which the last is stored", reply)
	}
}

func TestATTLIsNotLeftOnTheKeyOfAPartitionedTopic(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		addr, topic := testenv.Redis(t), testenv.Name(t, "t")
		b := open(t, Config{Connection: Connection{Addr: addr}, TTL: time.Hour, OrderedAppend: ordered})
		if _, err := b.partitions(t.Context(), topic); err != nil { // is remembered for a while
			t.Fatal(err)
		}
		must(t, open(t, Config{Connection: Connection{Addr: addr}}).CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 4}))
		store(t, b, topic, 0, 1)
		if ttl := client(t, addr).TTL(t.Context(), topic).Val(); ttl != -1 {
			t.Errorf("got %v, want none", ttl)
		}
	}
}
