package redisstream

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestATopicOfSeveralPartitions(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b, stale := open(t, Config{Connection: Connection{Addr: addr}}), open(t, Config{Connection: Connection{Addr: addr}})
	if n, err := stale.partitions(t.Context(), topic); err != nil || n != 1 {
		t.Fatalf("got %d, %v, want 1", n, err)
	}
	spec := durable.TopicSpec{Name: topic, Partitions: 4}
	if err := errors.Join(b.CreateTopic(t.Context(), spec), b.CreateTopic(t.Context(), spec)); err != nil {
		t.Fatal(err)
	}
	spec.Partitions = 3
	if err := b.CreateTopic(t.Context(), spec); !errors.Is(err, durable.ErrTopicExists) {
		t.Errorf("other number: got %v, want ErrTopicExists", err)
	}
	ps, err := stale.Append(t.Context(), topic, events(20)...) // its cached number is out of date
	if err != nil {
		t.Fatal(err)
	}
	part, _, err := parsePosition(ps[0], 4)
	if err != nil || part != durable.Partition("k", 4) {
		t.Errorf("position %s: partition %d, %v, want %d", ps[0], part, err, durable.Partition("k", 4))
	}
	plain := events(8)
	for _, m := range plain {
		delete(m.Metadata, durable.MetaPartitionKey)
	}
	if _, err := b.Append(t.Context(), topic, plain...); err != nil {
		t.Fatal(err)
	}
	info, err := b.DescribeTopic(t.Context(), topic)
	if err != nil || len(info.Partitions) != 4 {
		t.Fatalf("got %v, %v, want 4 partitions", info, err)
	}
	for p, got := range info.Partitions {
		want := int64(2)
		if p == part {
			want = 22
		}
		if got.Records != want || got.Oldest == "" || got.Newest == "" {
			t.Errorf("partition %d: got %+v, want %d records", p, got, want)
		}
	}
	if ids, err := replayed(t, b, topic, durable.Range{}); err != nil || len(ids) != 28 {
		t.Errorf("replay: got %d records, %v, want 28", len(ids), err)
	}
	if err := b.DeleteTopic(t.Context(), topic); err != nil {
		t.Error(err)
	}
	if _, err := b.DescribeTopic(t.Context(), topic); !errors.Is(err, durable.ErrTopicNotFound) {
		t.Errorf("deleted: got %v, want ErrTopicNotFound", err)
	}
	if err := b.DeleteTopic(t.Context(), topic); !errors.Is(err, durable.ErrTopicNotFound) {
		t.Errorf("deleted twice: got %v, want ErrTopicNotFound", err)
	}
}

// overtaker has what happen behind the next HMGET, before its caller goes on.
type overtaker struct {
	what func()
}

func (overtaker) DialHook(next redis.DialHook) redis.DialHook { return next }

func (overtaker) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (o *overtaker) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if what := o.what; what != nil && cmd.Name() == "hmget" {
			o.what = nil
			what()
		}
		return err
	}
}

// TestALookAtTheServerThatWasOvertakenIsNotKept has a topic be deleted, or made, while its shape is looked up.
func TestALookAtTheServerThatWasOvertakenIsNotKept(t *testing.T) {
	addr := testenv.Redis(t)
	cfg := Config{Connection: Connection{Addr: addr}}
	other, raw := open(t, cfg), client(t, addr)
	for name, look := range map[string]func(b *Backend, topic string) error{
		"partitions": func(b *Backend, topic string) error { _, err := b.partitions(t.Context(), topic); return err },
		"shapeOf":    func(b *Backend, topic string) error { _, _, err := b.shapeOf(t.Context(), topic); return err },
	} {
		for _, known := range []bool{true, false} { // to the process, before it looks
			topic, b, over := testenv.Name(t, "t"), open(t, cfg), new(overtaker)
			b.control.AddHook(over)
			spec := durable.TopicSpec{Name: topic, Partitions: 4}
			must(t, other.CreateTopic(t.Context(), spec))
			if known {
				b.shapes.expect(topic, 4)
			}
			over.what = func() { must(t, b.DeleteTopic(t.Context(), topic)) }
			must(t, look(b, topic))
			if n, err := b.partitions(t.Context(), topic); n != 1 || err != nil || raw.Exists(t.Context(), topicKey(topic)).Val() != 0 {
				t.Errorf("%s, known %t: got %d partitions, %v, of a topic that is gone, want 1 and nothing stored", name, known, n, err)
			}
			b.shapes.forget(topic)
			over.what = func() { must(t, b.CreateTopic(t.Context(), spec)) }
			must(t, look(b, topic))
			if n, err := b.partitions(t.Context(), topic); n != 4 || err != nil {
				t.Errorf("%s, known %t: got %d partitions, %v, of a topic that was made, want 4", name, known, n, err)
			}
		}
	}
}

// TestAnOvertakenLookIsTakenAgain is of a look that another topic's making overtook: nobody waits for it.
func TestAnOvertakenLookIsTakenAgain(t *testing.T) {
	var s shapes
	s.expect("t", 4)
	s.get("t")
	seen := s.seen()
	s.expect("another", 2)
	s.refresh("t", seen, 4, keeping{})
	if _, fresh := s.get("t"); fresh {
		t.Error("got a look that goes on, want the next one")
	}
	s.refresh("t", s.seen(), 5, keeping{maxLen: 7})
	if now, fresh := s.get("t"); !fresh || now.n != 5 || now.keep.maxLen != 7 {
		t.Errorf("got %+v after a look, want what it found", now)
	}
}

func TestAStreamWithEntriesIsNotPartitioned(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	if _, err := b.Append(t.Context(), topic, event(1)); err != nil {
		t.Fatal(err)
	}
	for want, spec := range map[error]durable.TopicSpec{
		durable.ErrTopicExists: {Name: topic, Partitions: 2},
		durable.ErrInvalid:     {Name: topic, Partitions: -1},
		nil:                    {Name: topic},
	} {
		if err := b.CreateTopic(t.Context(), spec); !errors.Is(err, want) {
			t.Errorf("%+v: got %v, want %v", spec, err, want)
		}
	}
}

func TestPositionsAreReadStrictly(t *testing.T) {
	for _, n := range []int{1, 4} {
		p := position("1712-3", n-1, n)
		if part, id, err := parsePosition(p, n); err != nil || part != n-1 || id != "1712-3" {
			t.Errorf("%s: got %d, %s, %v", p, part, id, err)
		}
		for _, bad := range []durable.Position{"", "x", "1712", "4:1-0", "-1:1-0", "01:1-0", "1:1", "1:-0", "1-"} {
			if _, _, err := parsePosition(bad, n); !errors.Is(err, durable.ErrInvalid) {
				t.Errorf("%q of %d: got %v, want ErrInvalid", bad, n, err)
			}
		}
	}
}

func TestLagCountsAndSaysUnknown(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	ps, err := b.Append(t.Context(), topic, events(10)...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Lag(t.Context(), "g", topic); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("no group: got %v, want ErrInvalid", err)
	}
	if err := b.control.XGroupCreate(t.Context(), topic, "g", "0").Err(); err != nil {
		t.Fatal(err)
	}
	read := &redis.XReadGroupArgs{Group: "g", Consumer: "c", Streams: []string{topic, ">"}, Count: 3}
	if err := b.control.XReadGroup(t.Context(), read).Err(); err != nil {
		t.Fatal(err)
	}
	check := func(when string, lag int64) {
		got, err := b.Lag(t.Context(), "g", topic)
		if err != nil || len(got) != 1 || len(got[0].Members) != 1 {
			t.Fatalf("%s: got %+v, %v, want one partition and one member", when, got, err)
		}
		l := got[0]
		if m := l.Members[0]; l.Lag != lag || l.Pending != 3 || m.Member != "c" || m.Pending != 3 || m.OldestPending != l.OldestPending {
			t.Errorf("%s: got %+v, want lag %d and 3 pending for c", when, l, lag)
		}
		if age := time.Since(storedAt(string(ps[0]))); l.OldestPending <= 0 || l.OldestPending > age+time.Second {
			t.Errorf("%s: got an age of %s, want about %s", when, l.OldestPending, age)
		}
	}
	testenv.Await(t, 30*time.Second, func() bool { return time.Since(storedAt(string(ps[0]))) > 5*time.Millisecond }, "the entries have an age")
	check("at first", 7)
	if err := b.control.XDel(t.Context(), topic, string(ps[6])).Err(); err != nil {
		t.Fatal(err)
	}
	check("after a deletion", -1)
	if _, err := b.Lag(t.Context(), "g", topic+"x"); !errors.Is(err, durable.ErrTopicNotFound) || !strings.Contains(err.Error(), topic) {
		t.Errorf("no topic: got %v, want ErrTopicNotFound", err)
	}
}
