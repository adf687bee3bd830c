package redisstream

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

func TestAMemberThatDiedIsFollowedInOrderAndFenced(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw := client(t, addr)
	b := open(t, Config{Connection: Connection{Addr: addr}})
	g := durable.Group{Name: "g", Topics: durable.Topics(topic)}
	zombie := join(t, b, g)
	store(t, b, topic, 0, 10)
	held := fetch(t, zombie, 10)
	// Another process took the lease, as it can when this one stood still for longer than LeaseTTL.
	lease := newPlace(topic, 0, 1).leaseKey("g")
	if err := raw.Set(t.Context(), lease, "other", time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if err := zombie.Ack(t.Context(), held[:5]...); err != nil {
		t.Error(err)
	}
	select {
	case <-held[0].Claim.Context().Done():
	case <-soon(t).Done():
		t.Fatal("the claim is held, want it lost")
	}
	if err := context.Cause(held[0].Claim.Context()); !errors.Is(err, durable.ErrFenced) {
		t.Errorf("got %v, want ErrFenced", err)
	}
	if err := zombie.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if owner := raw.Get(t.Context(), lease).Val(); owner != "other" {
		t.Errorf("got lease %q, want it left to its owner", owner)
	}
	if err := raw.Del(t.Context(), lease).Err(); err != nil {
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
	t.Parallel()
	r := testenv.StartRedis(t, testenv.RedisOptions{})
	b := open(t, Config{Connection: Connection{Addr: r.Addr()}, LeaseTTL: 3 * time.Second})
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
	if again := fetch(t, c, 1)[0]; again.Message.UUID != d.Message.UUID || again.Attempt < 2 {
		t.Errorf("got %+v, want the unfinished delivery again", again)
	}
}

func TestCompetingMembersTakeOverFromTheDeadAlone(t *testing.T) {
	t.Parallel()
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw := client(t, addr)
	b := open(t, Config{Connection: Connection{Addr: addr}, ClaimIdle: aliveIdle})
	g := durable.Group{Name: "g", Topics: durable.Topics(topic), Ordering: durable.None, Member: "alive"}
	alive := join(t, b, g)
	store(t, b, topic, 0, 1)
	fetch(t, alive, 1)     // in work for longer than ClaimIdle
	tx := raw.TxPipeline() // before the living one reads it
	tx.XAdd(t.Context(), &redis.XAddArgs{Stream: topic, Values: []any{"n", "1"}})
	tx.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "g", Consumer: "dead", Streams: []string{topic, ">"}})
	_, err := tx.Exec(t.Context())
	must(t, err)
	abandon(t, raw, topic, "dead")
	g.Member = "taker"
	taker := join(t, b, g)
	testenv.Await(t, time.Minute, func() bool {
		p, err := raw.XPendingExt(t.Context(), &redis.XPendingExtArgs{Stream: topic, Group: "g", Start: "-", End: "+", Count: 10, Consumer: "dead"}).Result()
		return err == nil && len(p) == 0
	}, "the dead member's entry is taken over")
	ctx, cancel := context.WithTimeout(t.Context(), aliveIdle)
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

func TestACutConnectionLosesNothing(t *testing.T) {
	r := testenv.StartRedis(t, testenv.RedisOptions{Proxied: true})
	b := open(t, Config{Connection: Connection{Addr: r.Addr()}, LeaseTTL: 30 * time.Second}) // what comes again is out of order
	store(t, b, "t", 0, 3000)
	c := join(t, b, durable.Group{Name: "g", Topics: durable.Topics("t")})
	for next, i := 0, 0; next < 3000; i++ {
		if i%10 == 5 && i < 40 {
			r.Proxy().Cut()
			r.Proxy().Restore()
		}
		ds := fetch(t, c, 50)
		for _, d := range ds {
			if d.Message.UUID != event(next).UUID {
				t.Fatalf("got %s, want %s", d.Message.UUID, event(next).UUID)
			}
			next++
		}
		if err := c.Ack(t.Context(), ds...); err != nil {
			t.Error(err)
		}
	}
}
