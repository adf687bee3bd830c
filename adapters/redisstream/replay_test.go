package redisstream

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
)

func replayed(t *testing.T, b *Backend, topic string, r durable.Range) ([]string, error) {
	t.Helper()
	var ids []string
	for rec, err := range b.Replay(t.Context(), topic, r) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, rec.Message.UUID)
	}
	return ids, nil
}

func events(n int) []*message.Message {
	out := make([]*message.Message, n)
	for i := range out {
		out[i] = event(i)
	}
	return out
}

func TestReplaySelectsByPositionAndTime(t *testing.T) {
	defer leaktest.None(t, goleak.IgnoreCurrent())
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	for _, id := range []string{"1000-0", "2000-0", "3000-0", "4000-0"} {
		if err := b.control.XAdd(t.Context(), &redis.XAddArgs{Stream: topic, ID: id, Values: []any{fieldUUID, id}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	at := func(s int) durable.Start { return durable.At(time.Unix(int64(s), 0)) }
	for name, c := range map[string]struct {
		r    durable.Range
		want []string
	}{
		"all":     {durable.Range{}, []string{"1000-0", "2000-0", "3000-0", "4000-0"}},
		"newest":  {durable.Range{From: durable.Newest()}, nil},
		"times":   {durable.Range{From: at(2), ToTime: time.Unix(4, 0)}, []string{"2000-0", "3000-0"}},
		"cursors": {durable.Range{From: durable.After(durable.Cursor{0: "1000-0"}), To: durable.Cursor{0: "2000-0"}}, []string{"2000-0"}},
		"follow":  {durable.Range{From: at(3), To: durable.Cursor{0: "4000-0"}, Follow: true}, []string{"3000-0", "4000-0"}},
		"none":    {durable.Range{Partitions: []int{}}, nil},
	} {
		if got, err := replayed(t, b, topic, c.r); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, c.want)
		}
	}
	if _, err := replayed(t, b, topic, durable.Range{Partitions: []int{1}}); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("partition 1 of 1: got %v, want ErrInvalid", err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAPositionThatIsNotStoredIsExpired(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	after := func(p durable.Position) error {
		_, err := replayed(t, b, topic, durable.Range{From: durable.After(durable.Cursor{0: p})})
		return err
	}
	if err := after("1-0"); !errors.Is(err, durable.ErrPositionExpired) {
		t.Errorf("no stream: got %v, want ErrPositionExpired", err)
	}
	ps, err := b.Append(t.Context(), topic, events(10)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := after("99999999999999-0"); !errors.Is(err, durable.ErrPositionExpired) {
		t.Errorf("beyond the last id: got %v, want ErrPositionExpired", err)
	}
	if err := b.control.XTrimMaxLen(t.Context(), topic, 5).Err(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(after(ps[5]), after(ps[9])); err != nil {
		t.Errorf("stored positions: got %v, want nil", err)
	}
	if err := after(ps[2]); !errors.Is(err, durable.ErrPositionExpired) {
		t.Errorf("trimmed: got %v, want ErrPositionExpired", err)
	}
	if err := after("x"); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("no position: got %v, want ErrInvalid", err)
	}
}

func TestTrimmingThatOvertakesAReplayIsNoSilentGap(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	if _, err := b.Append(t.Context(), topic, events(2*fewEntries)...); err != nil {
		t.Fatal(err)
	}
	n := 0
	var last error
	for _, err := range b.Replay(t.Context(), topic, durable.Range{}) {
		if last = err; err != nil {
			break
		}
		if n++; n == 1 {
			if err := b.control.XTrimMaxLen(t.Context(), topic, 10).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n != fewEntries || !errors.Is(last, durable.ErrPositionExpired) {
		t.Errorf("got %d records and %v, want one page and ErrPositionExpired", n, last)
	}
}

func TestCloseEndsAReplayThatFollows(t *testing.T) {
	defer leaktest.None(t, goleak.IgnoreCurrent())
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	if _, err := b.Append(t.Context(), topic, event(1)); err != nil {
		t.Fatal(err)
	}
	seen, ended := make(chan struct{}), make(chan error)
	go func() {
		var last error
		for _, err := range b.Replay(context.WithoutCancel(t.Context()), topic, durable.Range{Follow: true}) {
			if last = err; err == nil {
				close(seen)
			}
		}
		ended <- last
	}()
	<-seen
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, durable.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestAReplayStopsWithItsCaller(t *testing.T) {
	defer leaktest.None(t, goleak.IgnoreCurrent())
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	if _, err := b.Append(t.Context(), topic, events(3)...); err != nil {
		t.Fatal(err)
	}
	for _, err := range b.Replay(t.Context(), topic, durable.Range{Follow: true}) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := replayed(t, b, topic, durable.Range{}); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

func TestAReplayOfLargeEntriesGoesByTheFew(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	const total = 4
	for i := range total {
		m := event(i)
		m.Payload = make([]byte, readBytes+1)
		_, err := b.Append(t.Context(), topic, m)
		must(t, err)
	}
	store(t, b, topic, total, total+2*fewEntries)
	for _, follow := range []bool{false, true} {
		ids := 0
		for r, err := range b.Replay(soon(t), topic, durable.Range{Follow: follow}) {
			must(t, err)
			if r.Message.UUID != event(ids).UUID {
				t.Fatalf("got %s, want number %d", r.Message.UUID, ids)
			}
			if ids++; follow && ids == total+2*fewEntries {
				break
			}
		}
		if ids != total+2*fewEntries {
			t.Errorf("got %d entries, want %d", ids, total+2*fewEntries)
		}
	}
}

func TestAPageOfOneLargeEntryMovesOn(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}}), testenv.Name(t, "t")
	store(t, b, topic, 0, 5)
	parts, err := b.stretches(t.Context(), topic, durable.Range{})
	must(t, err)
	run := &replay{b: b, topic: topic, client: b.control, parts: parts, yield: func(durable.Record, error) bool { return true }}
	for _, lagging := range []bool{false, true} {
		parts[0].lagging = lagging
		run.size = 2 * readBytes
		if n, _, err := run.page(t.Context(), parts[0]); n != 1 || err != nil {
			t.Errorf("lagging %t: got %d entries, %v, want one", lagging, n, err)
		}
	}
}

func TestADeletedTopicLeavesNoKeys(t *testing.T) {
	addr := testenv.Redis(t)
	b, topic := open(t, Config{Connection: Connection{Addr: addr}}), testenv.Name(t, "t")
	must(t, b.CreateTopic(t.Context(), durable.TopicSpec{Name: topic, Partitions: 2}))
	for _, g := range []durable.Group{competing(topic, "m"), {Name: "ordered", Topics: durable.Topics(topic)}} {
		must(t, join(t, b, g).Close(t.Context()))
	}
	must(t, b.DeleteTopic(t.Context(), topic))
	if keys := client(t, addr).Keys(t.Context(), "*"+topic+"*").Val(); len(keys) > 0 {
		t.Errorf("got %q, want none", keys)
	}
}
