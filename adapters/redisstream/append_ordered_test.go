package redisstream

import (
	"errors"
	"fmt"
	"testing"

	original "github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

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
	addr := testenv.Redis(t)
	topic := testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}, OrderedAppend: true})
	if err := b.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 4}); err != nil {
		t.Fatal(err)
	}
	if err := client(t, addr).ScriptFlush(t.Context()).Err(); err != nil { // as after a restart
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
