package redisstream

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	original "github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
)

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func join(t testing.TB, b *Backend, g durable.Group) durable.Consumer {
	t.Helper()
	c, err := b.Consume(soon(t), g)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func fetch(t testing.TB, c durable.Consumer, n int) []durable.Delivery {
	t.Helper()
	var out []durable.Delivery
	for len(out) < n {
		ds, err := c.Fetch(soon(t), n-len(out))
		if err != nil {
			t.Fatalf("got %d of %d deliveries, then %v", len(out), n, err)
		}
		out = append(out, ds...)
	}
	return out
}

func store(t testing.TB, b *Backend, topic string, from, to int) {
	t.Helper()
	msgs := make([]*message.Message, 0, to-from)
	for i := from; i < to; i++ {
		msgs = append(msgs, event(i))
	}
	if _, err := b.Append(soon(t), topic, msgs...); err != nil {
		t.Fatal(err)
	}
}

// client is for looking at a server, which may stand still for a while: nothing is sent twice.
func client(t testing.TB, addr string) *redis.Client {
	const patience = 30 * time.Second
	c := redis.NewClient(&redis.Options{Addr: addr, DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, MaxRetries: -1})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// work has c acknowledge what it is given until done, however often it loses its claims meanwhile.
func work(t testing.TB, c durable.Consumer, done func() bool, what string) {
	t.Helper()
	testenv.Await(t, time.Minute, func() bool {
		if done() {
			return true
		}
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		ds, err := c.Fetch(ctx, 100)
		if err == nil {
			err = c.Ack(t.Context(), ds...)
		}
		if err != nil && ctx.Err() == nil {
			t.Errorf("got %v while it works", err)
		}
		return false
	}, what)
}

func TestTheOriginalPublishesAndConsumes(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw := client(t, addr)
	pub, err := original.NewPublisher(original.PublisherConfig{Client: raw}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, Config{Connection: Connection{Addr: addr}})
	want := event(1)
	if err := pub.Publish(topic, want.Copy()); err != nil {
		t.Fatal(err)
	}
	c := join(t, b, durable.Group{Name: "ours", Topics: durable.Topics(topic)})
	if got := fetch(t, c, 1)[0]; got.DecodeErr != nil || !got.Message.Equals(want) || got.Key != "k" {
		t.Errorf("got %+v, want what the original published", got)
	}
	sub, err := original.NewSubscriber(original.SubscriberConfig{Client: raw, ConsumerGroup: "theirs", OldestId: "0"}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := sub.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	store(t, b, topic, 2, 3)
	for i := 1; i < 3; i++ {
		select {
		case m := <-messages:
			if m.UUID != event(i).UUID {
				t.Errorf("the original got %s, want %s", m.UUID, event(i).UUID)
			}
			m.Ack()
		case <-soon(t).Done():
			t.Fatal("the original got nothing")
		}
	}
	if err := sub.Close(); err != nil {
		t.Error(err)
	}
}

func TestAForeignEntryIsAJSONObject(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	id, err := client(t, addr).XAdd(t.Context(), &redis.XAddArgs{Stream: topic, Values: []any{"z", "1", "a", "2"}}).Result()
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, Config{Connection: Connection{Addr: addr}})
	d := fetch(t, join(t, b, durable.Group{Name: "g", Topics: durable.Topics(topic)}), 1)[0]
	if d.DecodeErr == nil || string(d.Message.Payload) != `{"a":"2","z":"1"}` || d.Message.UUID != id || len(d.Message.Metadata) != 0 {
		t.Errorf("got %+v with %s, want the fields as JSON", d, d.Message.Payload)
	}
}

func TestAGroupHasOneOrdering(t *testing.T) {
	addr := testenv.Redis(t)
	b := open(t, Config{Connection: Connection{Addr: addr}})
	for _, first := range []durable.Ordering{durable.PerKey, durable.None} {
		g := durable.Group{Name: "g", Topics: durable.Topics(testenv.Name(t, "t")), Ordering: first}
		member := join(t, b, g)
		store(t, b, g.Topics[0].Topic, 0, 3)
		fetch(t, member, 3)
		g.Ordering = durable.None - first
		if _, err := b.Consume(soon(t), g); !errors.Is(err, ErrOrdering) || !errors.Is(err, durable.ErrUnsupported) {
			t.Errorf("another ordering than %v: got %v, want ErrOrdering", first, err)
		}
	}
	topic := testenv.Name(t, "t")
	raw := client(t, addr)
	store(t, b, topic, 0, 3)
	err := errors.Join(
		raw.XGroupCreate(t.Context(), topic, "theirs", "0").Err(),
		raw.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "theirs", Consumer: "c", Streams: []string{topic, ">"}}).Err(),
	)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Consume(soon(t), durable.Group{Name: "theirs", Topics: durable.Topics(topic)}); !errors.Is(err, ErrOrdering) {
		t.Errorf("a group of other programs: got %v, want ErrOrdering", err)
	}
}

func TestCompetingMembersShareAndHandOver(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}})
	g := durable.Group{Name: "g", Topics: durable.Topics(topic), Ordering: durable.None, Member: "one"}
	one := join(t, b, g)
	store(t, b, topic, 0, 10)
	ds := fetch(t, one, 4)
	if err := one.Ack(t.Context(), ds[:2]...); err != nil {
		t.Error(err)
	}
	if err := one.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.Member = "two"
	attempts := map[string]int{}
	for _, d := range fetch(t, join(t, b, g), 8) {
		attempts[d.Message.UUID] = d.Attempt
	}
	for i := 2; i < 10; i++ {
		want := 1 // read ahead and never started
		if i < 4 {
			want = 2
		}
		if got := attempts[event(i).UUID]; got != want {
			t.Errorf("%s: got attempt %d, want %d", event(i).UUID, got, want)
		}
	}
}

func TestStartsByTimeAndPosition(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw := client(t, addr)
	for i := 1; i <= 9; i++ {
		if err := raw.XAdd(t.Context(), &redis.XAddArgs{Stream: topic, ID: fmt.Sprintf("%d-0", 1000*i), Values: []any{"n", i}}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := raw.XTrimMaxLen(t.Context(), topic, 5).Err(); err != nil { // 5000-0 is the oldest
		t.Fatal(err)
	}
	b := open(t, Config{Connection: Connection{Addr: addr}})
	g := durable.Group{Topics: durable.Topics(topic)}
	for i, c := range []struct {
		start durable.Start
		want  string
	}{
		{durable.At(time.UnixMilli(7000)), "7000-0"},
		{durable.At(time.UnixMilli(6000).Add(time.Nanosecond)), "7000-0"},
		{durable.After(durable.Cursor{0: "7000-0"}), "8000-0"},
		{durable.Oldest(), "5000-0"},
	} {
		g.Name, g.Start = fmt.Sprint("g", i), c.start
		if got := fetch(t, join(t, b, g), 1)[0]; string(got.Position) != c.want {
			t.Errorf("case %d: got %s, want %s", i, got.Position, c.want)
		}
	}
	for _, gone := range []durable.Position{"2000-0", "99000-0"} {
		g.Name, g.Start, g.OnExpired = "gone"+string(gone), durable.After(durable.Cursor{0: gone}), durable.ExpiredFail
		if _, err := b.Consume(t.Context(), g); !errors.Is(err, durable.ErrPositionExpired) {
			t.Errorf("after %s: got %v, want ErrPositionExpired", gone, err)
		}
		g.OnExpired = durable.ExpiredOldest
		if got := fetch(t, join(t, b, g), 1)[0]; got.Position != "5000-0" {
			t.Errorf("after %s: got %s, want the oldest", gone, got.Position)
		}
	}
}

func TestAMemberLeavesNothingBehind(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw := client(t, addr)
	if err := raw.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	defer leaktest.None(t, goleak.IgnoreCurrent())
	b := open(t, Config{Connection: Connection{Addr: addr}})
	c := join(t, b, durable.Group{Name: "g", Topics: durable.Topics(topic)})
	store(t, b, topic, 0, 5)
	if err := c.Ack(t.Context(), fetch(t, c, 5)...); err != nil {
		t.Error(err)
	}
	if err := errors.Join(b.Close(t.Context()), c.Close(t.Context())); err != nil {
		t.Error(err)
	}
	if _, err := c.Fetch(t.Context(), 1); !errors.Is(err, durable.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if cs := raw.XInfoConsumers(t.Context(), topic, "g").Val(); len(cs) != 0 {
		t.Errorf("got consumers %+v, want none", cs)
	}
	if n := raw.Exists(t.Context(), newPlace(topic, 0, 1).leaseKey("g")).Val(); n != 0 {
		t.Error("the lease is still there")
	}
}
