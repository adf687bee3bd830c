package redisstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	original "github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/durable"
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

func client(t testing.TB, addr string) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = c.Close() })
	return c
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

func TestASecondOrderedMemberIsRefused(t *testing.T) {
	b := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}, LeaseTTL: 500 * time.Millisecond})
	g := durable.Group{Name: "g", Topics: durable.Topics(testenv.Name(t, "t"))}
	first := join(t, b, g)
	if _, err := b.Consume(soon(t), g); !errors.Is(err, durable.ErrUnsupported) || !strings.Contains(err.Error(), "ordering none") {
		t.Errorf("got %v, want ErrUnsupported and a remedy", err)
	}
	g.Ordering = durable.None
	if _, err := b.Consume(soon(t), g); !errors.Is(err, durable.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported for another ordering", err)
	}
	store(t, b, g.Topics[0].Topic, 0, 3)
	fetch(t, first, 3)
}

func TestAMemberThatDiedIsFollowedInOrderAndFenced(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw := client(t, addr)
	b := open(t, Config{Connection: Connection{Addr: addr}, LeaseTTL: 600 * time.Millisecond})
	g := durable.Group{Name: "g", Topics: durable.Topics(topic)}
	zombie := join(t, b, g)
	store(t, b, topic, 0, 10)
	held := fetch(t, zombie, 10)
	// Another process took the lease, as it can when this one stood still for longer than LeaseTTL.
	s := newStream(topic, 0, 1, "g")
	if err := raw.Set(t.Context(), s.lease, "other", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if err := zombie.Ack(t.Context(), held[:5]...); err != nil {
		t.Error(err)
	}
	if _, err := zombie.Fetch(soon(t), 1); !errors.Is(err, durable.ErrFenced) {
		t.Errorf("got %v, want ErrFenced", err)
	}
	if !held[0].Claim.Lost() {
		t.Error("the claim is held, want it lost")
	}
	if err := zombie.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if owner := raw.Get(t.Context(), s.lease).Val(); owner != "other" {
		t.Errorf("got lease %q, want it left to its owner", owner)
	}
	if err := raw.Del(t.Context(), s.lease).Err(); err != nil {
		t.Fatal(err)
	}
	next := join(t, b, g)
	store(t, b, topic, 10, 20)
	for i, d := range fetch(t, next, 20) {
		if d.Message.UUID != event(i).UUID {
			t.Fatalf("at %d: got %s, want %s", i, d.Message.UUID, event(i).UUID)
		}
	}
}

func TestAnOrderedMemberGoesOnAfterItsLeaseRanOut(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{})
	b := open(t, Config{Connection: Connection{Addr: r.Addr(), Timeout: 200 * time.Millisecond}, LeaseTTL: 600 * time.Millisecond})
	c := join(t, b, durable.Group{Name: "g", Topics: durable.Topics("t")})
	store(t, b, "t", 0, 1)
	d := fetch(t, c, 1)[0]
	r.Freeze()
	select {
	case <-d.Claim.Context().Done():
	case <-soon(t).Done():
		t.Error("the claim outlives its lease")
	}
	r.Thaw()
	if again := fetch(t, c, 1)[0]; again.Message.UUID != d.Message.UUID || again.Attempt != 2 {
		t.Errorf("got %+v, want the unfinished delivery again", again)
	}
}

func TestCompetingMembersShareAndHandOver(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}, ClaimIdle: time.Second})
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

func TestCompetingMembersTakeOverFromTheDeadAlone(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw := client(t, addr)
	b := open(t, Config{Connection: Connection{Addr: addr}, ClaimIdle: 600 * time.Millisecond})
	g := durable.Group{Name: "g", Topics: durable.Topics(topic), Ordering: durable.None, Member: "alive"}
	alive := join(t, b, g)
	store(t, b, topic, 0, 1)
	fetch(t, alive, 1) // in work for longer than ClaimIdle
	store(t, b, topic, 1, 2)
	err := raw.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "g", Consumer: "dead", Streams: []string{topic, ">"}, Count: 1, Block: -1}).Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	g.Member = "taker"
	taker := join(t, b, g)
	pending := func(member string) int64 {
		p, err := raw.XPendingExt(t.Context(), &redis.XPendingExtArgs{Stream: topic, Group: "g", Start: "-", End: "+", Count: 10, Consumer: member}).Result()
		if err != nil {
			t.Fatal(err)
		}
		return int64(len(p))
	}
	testenv.Await(t, 20*time.Second, func() bool { return pending("dead") == 0 }, "the dead member's entry is taken over")
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	for ctx.Err() == nil {
		ds, _ := taker.Fetch(ctx, 10)
		for _, d := range ds {
			if d.Message.UUID == event(0).UUID {
				t.Error("the entry of a living member was taken")
			}
		}
	}
}

func TestARestartInTheMiddleLosesNothing(t *testing.T) {
	for name, ordering := range map[string]durable.Ordering{"ordered": durable.PerKey, "competing": durable.None} {
		t.Run(name, func(t *testing.T) {
			r := testenv.StartRedis(t, testenv.RedisOptions{AppendFsync: "always"})
			b := open(t, Config{Connection: Connection{Addr: r.Addr()}, LeaseTTL: 2 * time.Second})
			store(t, b, "t", 0, 3000)
			c := join(t, b, durable.Group{Name: "g", Topics: durable.Topics("t"), Ordering: ordering})
			seen := map[string]bool{}
			for i := 0; len(seen) < 3000; i++ {
				ds, err := c.Fetch(soon(t), 200)
				if err != nil {
					t.Fatalf("after %d: %v", len(seen), err)
				}
				for _, d := range ds {
					seen[d.Message.UUID] = true
				}
				if err := c.Ack(t.Context(), ds...); err != nil {
					t.Error(err)
				}
				if i == 4 {
					r.Kill()
					r.Restart()
				}
			}
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
			p, err := r.Client().XPending(t.Context(), "t", "g").Result()
			if err != nil || p.Count != 0 {
				t.Errorf("got %+v, %v, want nothing pending", p, err)
			}
		})
	}
}

func TestALostGroupIsMadeAgain(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}})
	for _, o := range []durable.Ordering{durable.PerKey, durable.None} {
		g := durable.Group{Name: fmt.Sprint("g", o), Topics: durable.Topics(topic), Ordering: o}
		c := join(t, b, g)
		if err := client(t, addr).XGroupDestroy(t.Context(), topic, g.Name).Err(); err != nil {
			t.Fatal(err)
		}
		store(t, b, topic, 0, 1)
		fetch(t, c, 1)
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
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
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
	if n := raw.Exists(t.Context(), newStream(topic, 0, 1, "g").lease).Val(); n != 0 {
		t.Error("the lease is still there")
	}
}
