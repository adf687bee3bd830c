package redisstream

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// competing is a group of competing members of topic.
func competing(topic, member string) durable.Group {
	return durable.Group{Name: "g", Member: member, Topics: durable.Topics(topic), Ordering: durable.None}
}

// pend reads n entries as member and leaves them pending.
func pend(t *testing.T, raw *redis.Client, topic, member string, n int64) {
	t.Helper()
	err := raw.XReadGroup(t.Context(), &redis.XReadGroupArgs{Group: "g", Consumer: member, Streams: []string{topic, ">"}, Count: n}).Err()
	if err != nil {
		t.Fatal(err)
	}
}

// abandon has what is pending for member look as if that had left it alone for an hour.
func abandon(t *testing.T, raw *redis.Client, topic, member string) {
	t.Helper()
	must(t, retireScript.Run(t.Context(), raw, []string{topic}, "g", member, time.Hour.Milliseconds()).Err())
}

// aliveIdle is a ClaimIdle for which a living member keeps what it has even where a machine stands still for a while, and that
// a test can wait for.
const aliveIdle = 6 * time.Second

func TestAHandlerThatRunsForLongIsNotDeliveredTwice(t *testing.T) {
	t.Parallel()
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}, ClaimIdle: aliveIdle})
	store(t, b, topic, 0, 1)
	var h durabletest.History
	h.Appended("k", event(0).UUID)
	ctx, stop := context.WithCancel(t.Context())
	var members sync.WaitGroup
	began, over := make(chan struct{}), make(chan struct{})
	for _, name := range []string{"one", "two"} {
		members.Go(func() {
			err := durable.Process(ctx, b, competing(topic, name), func(m *message.Message) error {
				finish := h.Started(name, "k", m.UUID)
				defer finish()
				close(began) // twice would panic, and be retried
				<-over
				return nil
			}, durable.ProcessOptions{})
			if err != nil {
				t.Error(err)
			}
		})
	}
	<-began
	timer := time.NewTimer(aliveIdle + 2*time.Second) // the other looks once a second
	<-timer.C
	close(over)
	raw := client(t, addr)
	testenv.Await(t, 20*time.Second, func() bool { return raw.XPending(t.Context(), topic, "g").Val().Count == 0 }, "it is acknowledged")
	stop()
	members.Wait()
	if err := h.Check(durabletest.Promise{Once: true}).Err(); err != nil {
		t.Error(err)
	}
}

func TestARestartedMemberGetsItsOwnBackAndNewEntriesDoNotWait(t *testing.T) {
	for name, owner := range map[string]string{"its own": "me", "abandoned": "dead"} {
		t.Run(name, func(t *testing.T) {
			addr, topic := testenv.Redis(t), testenv.Name(t, "t")
			raw := client(t, addr)
			b := open(t, Config{Connection: Connection{Addr: addr}})
			const backlog = 20 * readCount
			for from := 0; from < backlog; from += readCount {
				store(t, b, topic, from, from+readCount)
			}
			if err := raw.XGroupCreate(t.Context(), topic, "g", "0").Err(); err != nil {
				t.Fatal(err)
			}
			pend(t, raw, topic, owner, backlog)
			abandon(t, raw, topic, owner)
			store(t, b, topic, backlog, backlog+1)
			c := join(t, b, competing(topic, "me"))
			seen, at := map[string]bool{}, -1
			for len(seen) < backlog+1 {
				ds, err := c.Fetch(soon(t), readCount)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range ds {
					if seen[d.Message.UUID] {
						t.Fatalf("%s came twice", d.Message.UUID)
					}
					if d.Message.UUID == event(backlog).UUID {
						at = len(seen)
					} else if d.Attempt != 2 {
						t.Fatalf("%s: got attempt %d, want 2", d.Message.UUID, d.Attempt)
					}
					seen[d.Message.UUID] = true
				}
				if err := c.Ack(t.Context(), ds...); err != nil {
					t.Fatal(err)
				}
			}
			if at > 5*readCount || at == 0 && owner == "me" { // who joins leaves dead owners a while to turn out alive
				t.Errorf("the new entry came after %d of the backlog, want not all before, and some of its own", at)
			}
		})
	}
}

func TestAMemberThatLeavesStaysWhileItHasSomething(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw := client(t, addr)
	b := open(t, Config{Connection: Connection{Addr: addr}})
	store(t, b, topic, 0, 3)
	one := join(t, b, competing(topic, "one"))
	held := fetch(t, one, 3)
	must(t, one.Ack(t.Context(), held[0]))
	must(t, one.Close(t.Context()))
	if cs := raw.XInfoConsumers(t.Context(), topic, "g").Val(); len(cs) != 1 || cs[0].Pending != 2 {
		t.Fatalf("got %+v, want the member with two entries", cs)
	}
	two := join(t, b, competing(topic, "two"))
	again := fetch(t, two, 2)
	if again[0].Message.UUID != held[1].Message.UUID || again[0].Attempt != 2 {
		t.Errorf("got %+v, want what the other left, at its second attempt", again[0])
	}
	must(t, two.Ack(t.Context(), again...))
	must(t, two.Close(t.Context()))
	if cs := raw.XInfoConsumers(t.Context(), topic, "g").Val(); len(cs) != 0 {
		t.Errorf("got %+v, want both gone", cs)
	}
}

func TestLateAcksAreCounted(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}})
	store(t, b, topic, 0, 2)
	c := join(t, b, competing(topic, "m"))
	ds := fetch(t, c, 2)
	must(t, b.control.XAck(t.Context(), topic, "g", string(ds[0].Position)).Err()) // as another owner would
	must(t, c.Ack(t.Context(), ds...))
	testenv.Await(t, 20*time.Second, func() bool { return b.Stats().LateAcks == 1 }, "one late ack is counted")
	must(t, c.Close(t.Context()))
	must(t, c.Ack(t.Context(), ds[1]))
	if n := b.Stats().LateAcks; n != 2 {
		t.Errorf("got %d late acks, want that of a lost claim too", n)
	}
}

func TestWithoutAcksNothingIsPending(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}, NoAck: true})
	store(t, b, topic, 0, 10)
	c := join(t, b, competing(topic, "m"))
	ds := fetch(t, c, 10)
	if p := client(t, addr).XPending(t.Context(), topic, "g").Val(); p.Count != 0 {
		t.Errorf("got %d pending, want none", p.Count)
	}
	must(t, c.Ack(t.Context(), ds...))
	must(t, c.Close(t.Context()))
	if n := b.Stats().LateAcks; n != 0 {
		t.Errorf("got %d late acks, want none", n)
	}
}

func TestTopicsOfACompetitorChangeWhileItRuns(t *testing.T) {
	addr := testenv.Redis(t)
	first, second := testenv.Name(t, "a"), testenv.Name(t, "b")
	b := open(t, Config{Connection: Connection{Addr: addr}})
	c := join(t, b, competing(first, "m"))
	store(t, b, first, 0, 2)
	held := fetch(t, c, 2)
	store(t, b, second, 10, 11)
	must(t, c.SetTopics(t.Context(), durable.Topics(first, second)...))
	if got := fetch(t, c, 1)[0]; got.Topic != second {
		t.Errorf("got one of %q, want the added topic", got.Topic)
	}
	must(t, c.SetTopics(t.Context(), durable.Topics(second)...))
	<-held[0].Claim.Draining()
	if held[0].Claim.Lost() {
		t.Error("the claim is lost, want what runs to finish")
	}
	must(t, c.Ack(t.Context(), held[0]))
	c.Release(held[1])
	testenv.Await(t, 20*time.Second, func() bool { return held[0].Claim.Lost() }, "the topic is left")
	other := join(t, b, competing(first, "other"))
	if got := fetch(t, other, 1)[0]; got.Message.UUID != held[1].Message.UUID {
		t.Errorf("got %s, want what was released", got.Message.UUID)
	}
	store(t, b, second, 11, 12)
	fetch(t, c, 1)
	if err := c.SetTopics(t.Context()); !errors.Is(err, durable.ErrInvalid) {
		t.Errorf("no topics: got %v, want ErrInvalid", err)
	}
}

func TestWhatWasDeletedWhilePendingIsCounted(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw := client(t, addr)
	b := open(t, Config{Connection: Connection{Addr: addr}})
	store(t, b, topic, 0, 5)
	must(t, raw.XGroupCreate(t.Context(), topic, "g", "0").Err())
	pend(t, raw, topic, "dead", 5)
	abandon(t, raw, topic, "dead")
	must(t, raw.XTrimMaxLen(t.Context(), topic, 2).Err())
	fetch(t, join(t, b, competing(topic, "m")), 2)
	testenv.Await(t, 20*time.Second, func() bool { return b.Stats().LostPending == 3 }, "three lost entries are counted")
}
