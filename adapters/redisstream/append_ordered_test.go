package redisstream

import (
	"errors"
	"fmt"
	"testing"

	original "github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/adapters/internal/rediskit"
	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestAnOrderedAppendStopsAtTheFirstRefusal(t *testing.T) {
	addr := testenv.Redis(t)
	for name, m := range map[string]Marshaller{"ours": nil, "custom": original.DefaultMarshallerUnmarshaller{}} {
		topic := testenv.Name(t, "t")
		b := open(t, Config{Connection: Connection{Addr: addr}, OrderedAppend: true, Marshaller: m})
		// Two more ids follow this one.
		last := &redis.XAddArgs{Stream: topic, ID: "18446744073709551615-18446744073709551613", Values: []any{"a", "b"}}
		if err := client(t, addr).XAdd(t.Context(), last).Err(); err != nil {
			t.Fatal(err)
		}
		ps, err := b.Append(soon(t), topic, event(0), event(1), event(2), event(3))
		var batch *durable.BatchError
		if !errors.As(err, &batch) {
			t.Fatalf("%s: got %v, want a *BatchError", name, err)
		}
		var got []string
		for i, o := range batch.Outcomes {
			got = append(got, fmt.Sprint(o.Status, o.AfterGap, ps[i] != "", o.Err != nil))
		}
		want := "[stored false true false stored false true false rejected false false true not sent false false true]"
		if s := fmt.Sprint(got); s != want {
			t.Errorf("%s: got %s, want %s", name, s, want)
		}
		if n := client(t, addr).XLen(t.Context(), topic).Val(); n != 3 {
			t.Errorf("%s: got %d entries, want 3", name, n)
		}
	}
}

func TestAnOrderedAppendLeavesAServerThatBecameAReplica(t *testing.T) {
	server := testenv.StartRedis(t, testenv.RedisOptions{})
	raw := client(t, server.Addr())
	b := open(t, Config{Connection: Connection{Addr: server.Addr()}, OrderedAppend: true})
	if _, err := b.Append(soon(t), "t", event(0)); err != nil {
		t.Fatal(err)
	}
	must(t, raw.Do(t.Context(), "replicaof", "127.0.0.1", "1").Err())
	for range 3 {
		var batch *durable.BatchError
		_, err := b.Append(soon(t), "t", event(1), event(2))
		if !errors.As(err, &batch) || !errors.Is(err, durable.ErrUnavailable) || batch.Outcomes[0].Status != durable.NotSent {
			t.Fatalf("got %v, want not sent and ErrUnavailable", err)
		}
	}
	must(t, raw.Do(t.Context(), "replicaof", "no", "one").Err())
	if _, err := b.Append(soon(t), "t", event(1)); err != nil {
		t.Error(err)
	}
}

func TestAScriptThatOnlySomeCallsFoundIsNotSentAgain(t *testing.T) {
	b := &Backend{}
	to := placement{topic: "t", n: 2, parts: []int{0, 1}}
	b.writer = answering(t, "-NOSCRIPT No matching script.\r\n$3\r\n1-0\r\n", "")
	batch2 := rediskit.NewBatch([]byte("x"), 2)
	if fate, err := b.writer.Send(t.Context(), batch2); fate != rediskit.Answered {
		t.Fatalf("got %v, %v, want an answer", fate, err)
	}
	if missing, all := unknownScript(batch2, 2); !missing || all {
		t.Error("got nothing stored, want one message stored")
	}
	_, err := b.orderedResults(&to, events(2), to.byStream(2), batch2)
	var batch *durable.BatchError
	if !errors.As(err, &batch) || !errors.Is(err, durable.ErrUnavailable) {
		t.Fatalf("got %v, want a BatchError with ErrUnavailable", err)
	}
	if o := batch.Outcomes; o[0].Status != durable.NotSent || o[1].Status != durable.Stored {
		t.Errorf("got %+v, want the first not sent and the second stored", o)
	}
}

func TestAnOrderedAppendCanRequireTheStream(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}, OrderedAppend: true, OnlyExisting: true})
	if _, err := b.Append(soon(t), topic, event(0), event(1)); !errors.Is(err, durable.ErrTopicNotFound) {
		t.Errorf("got %v, want ErrTopicNotFound", err)
	}
	if err := client(t, addr).XGroupCreateMkStream(t.Context(), topic, "g", "0").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Append(soon(t), topic, event(0), event(1)); err != nil {
		t.Error(err)
	}
}

func TestAnOrderedAppendStoresWhatAPlainOneDoes(t *testing.T) {
	server, topic := testenv.StartRedis(t, testenv.RedisOptions{}), "t" // of its own, for it loses the scripts of all
	b := open(t, Config{Connection: Connection{Addr: server.Addr()}, OrderedAppend: true})
	if err := b.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 4}); err != nil {
		t.Fatal(err)
	}
	if err := client(t, server.Addr()).ScriptFlush(t.Context()).Err(); err != nil { // as after a restart
		t.Fatal(err)
	}
	msgs := make([]*message.Message, 300)
	for i := range msgs {
		msgs[i] = event(i)
		msgs[i].Metadata[durable.MetaPartitionKey] = fmt.Sprint("k", i%20)
	}
	ps, err := b.Append(soon(t), topic, msgs...)
	if err != nil {
		t.Fatal(err)
	}
	at := map[durable.Position]*message.Message{}
	for i, p := range ps {
		at[p] = msgs[i]
	}
	last := map[string]int{}
	for r, err := range b.Replay(soon(t), topic, durable.Range{}) {
		if err != nil {
			t.Fatal(err)
		}
		want := at[r.Position]
		if want == nil || !r.Message.Equals(want) {
			t.Fatalf("at %s: got %v, want %v", r.Position, r.Message, want)
		}
		delete(at, r.Position)
		var i int
		if _, err := fmt.Sscan(r.Message.Metadata["n"], &i); err != nil || i < last[r.Key] {
			t.Errorf("key %s: got %d behind %d", r.Key, i, last[r.Key])
		}
		last[r.Key] = i
	}
	if len(at) > 0 {
		t.Errorf("%d messages are not stored where Append said", len(at))
	}
}

// wide is a marshaller of so many fields.
type wide int

func (w wide) Marshal(string, *message.Message) (map[string]interface{}, error) {
	out := make(map[string]interface{}, w)
	for i := range int(w) {
		out[fmt.Sprint("f", i)] = i
	}
	return out, nil
}

func (wide) Unmarshal(map[string]interface{}) (*message.Message, error) { return event(0), nil }

func TestAnOrderedAppendRefusesMoreFieldsThanTheServerTakes(t *testing.T) {
	addr := testenv.Redis(t)
	for n, want := range map[wide]error{mostFields: nil, mostFields + 1: durable.ErrTooLarge} {
		topic := testenv.Name(t, "t")
		b := open(t, Config{Connection: Connection{Addr: addr}, OrderedAppend: true, Marshaller: n})
		if _, err := b.Append(soon(t), topic, event(0), event(1)); !errors.Is(err, want) {
			t.Errorf("%d fields: got %v, want %v", n, err, want)
		}
		if got := client(t, addr).XLen(t.Context(), topic).Val(); want != nil && got != 0 || want == nil && got != 2 {
			t.Errorf("%d fields: got %d entries", n, got)
		}
	}
	b := open(t, Config{Connection: Connection{Addr: addr}, Marshaller: wide(2 * mostFields)})
	if _, err := b.Append(soon(t), testenv.Name(t, "t"), event(0)); err != nil {
		t.Errorf("a plain append: got %v, want nil", err)
	}
}
