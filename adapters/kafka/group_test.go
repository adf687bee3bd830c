package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// quickly is a configuration with which acks are written soon.
func quickly(t testing.TB) Config {
	return Config{Brokers: testenv.Kafka(t), CommitInterval: 100 * time.Millisecond}
}

func keyed(n int) func(int) string { return func(i int) string { return fmt.Sprint("key-", i%n) } }

// worker is a member that handles what it gets and records it.
type worker struct {
	stop    context.CancelFunc
	cut     func() // notes that it was cut off
	ended   chan error
	handled atomic.Int64
}

// work starts a member with a backend of its own, as another process has one.
func work(t testing.TB, cfg Config, g durable.Group, h *durabletest.History, off *cuts) *worker {
	t.Helper()
	name := g.Member
	cfg.Logger = off.logger(name)
	b := openOn(t, cfg)
	ctx, stop := context.WithCancel(context.Background())
	w := &worker{stop: stop, ended: make(chan error, 1), cut: func() { off.cut(name) }}
	go func() {
		w.ended <- durable.Process(ctx, b, g, func(m *message.Message) error {
			defer h.Started(name, durable.Key(m), m.UUID)()
			off.handled(name, m.UUID)
			w.handled.Add(1)
			<-time.After(time.Duration(rand.IntN(5)) * time.Millisecond) // so that keys are at work side by side
			return nil
		}, durable.ProcessOptions{})
	}()
	t.Cleanup(func() { w.end(t) })
	return w
}

// end stops the member, once, and waits until it has left.
func (w *worker) end(t testing.TB) {
	t.Helper()
	if w.stop == nil {
		return
	}
	w.stop()
	w.stop = nil
	select {
	case err := <-w.ended:
		switch {
		case err == nil || errors.Is(err, context.Canceled): // it had not joined yet
		case errors.Is(err, durable.ErrUnavailable):
			w.cut()
			t.Log(err)
		default:
			t.Error(err)
		}
	case <-time.After(2 * soon):
		t.Error("a member does not leave")
	}
}

// feed appends batches of events, known to h, until it is stopped. A broker may be away for longer than an append waits.
func feed(t testing.TB, b *Backend, topic string, keys int, h *durabletest.History) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n += 20 {
			msgs := events(20, func(i int) string { return fmt.Sprint("key-", (n+i)%keys) })
			_, err := b.Append(context.Background(), topic, msgs...)
			var batch *durable.BatchError
			if err != nil && (!errors.As(err, &batch) || !errors.Is(err, durable.ErrUnavailable)) {
				t.Error(err)
				return
			}
			for i, m := range msgs {
				switch {
				case batch == nil || batch.Outcomes[i].Status == durable.Stored:
					h.Appended(durable.Key(m), m.UUID)
				case batch.Outcomes[i].Status == durable.Unknown:
					h.Uncertain(m.UUID)
				}
			}
			<-tick.C
		}
	})
	return sync.OnceFunc(func() { cancel(); wg.Wait() })
}

// settleDown waits until everything that was appended is handled, and judges.
func settleDown(t testing.TB, h *durabletest.History, p durabletest.Promise) {
	t.Helper()
	testenv.Await(t, 2*soon, func() bool { return len(h.Check(p).Lost) == 0 }, "everything is handled")
	if r := h.Check(p); r.Err() != nil {
		t.Error(r.Err())
	}
}

func TestInARollingDeployOfTenMembersEverythingIsHandledOnceAndInOrder(t *testing.T) {
	t.Parallel()
	cfg := quickly(t)
	b := openOn(t, cfg)
	topic := newTopic(t, b, 12)
	g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)}
	var h durabletest.History
	var off cuts
	stop := feed(t, b, topic, 200, &h)
	defer stop()
	member := func(name string) *worker {
		one := g
		one.Member = name
		return work(t, cfg, one, &h, &off)
	}
	members := make([]*worker, 10)
	for i := range members {
		members[i] = member(fmt.Sprint("old-", i))
	}
	for i, old := range members {
		members[i] = member(fmt.Sprint("new-", i))
		testenv.Await(t, soon, func() bool { return members[i].handled.Load() > 0 }, "the new member is at work")
		old.end(t)
	}
	stop()
	off.settleDown(t, &h)
}

func TestMembersThatComeAndGoHandleEverythingOnceAndInOrder(t *testing.T) {
	t.Parallel()
	members := 20
	if os.Getenv("DUALSTREAM_SOAK") != "" {
		members = 200
	}
	cfg := quickly(t)
	b := openOn(t, cfg)
	topic := newTopic(t, b, 8)
	g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic), Member: "stays"}
	var h durabletest.History
	var off cuts
	stop := feed(t, b, topic, 40, &h)
	defer stop()
	work(t, cfg, g, &h, &off)
	const beside = 5 // at once
	var guests []*worker
	for i := range members {
		g.Member = fmt.Sprint("guest-", i)
		guests = append(guests, work(t, cfg, g, &h, &off))
		if len(guests) == beside {
			testenv.Await(t, soon, func() bool { return guests[0].handled.Load() > 0 }, "the guest is at work")
			guests[0].end(t)
			guests = guests[1:]
		}
	}
	for _, w := range guests {
		w.end(t)
	}
	stop()
	off.settleDown(t, &h)
}

func TestAFullPartitionHoldsUpNeitherTheOthersNorTheSession(t *testing.T) {
	t.Parallel()
	b := openOn(t, quickly(t))
	full, other := newTopic(t, b, 1), newTopic(t, b, 1)
	for range 2 {
		mustAppend(t, b, full, events(claimBuffer, oneKey)...)
	}
	g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(full, other)}
	c := join(t, b, g).(*consumer)
	defer closeNow(t, c)
	var stuck durable.Delivery
	for stuck.Topic != full {
		stuck = fetch(t, c, 1)[0]
	}
	testenv.Await(t, soon, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		h := c.byClaim[stuck.Claim]
		return h != nil && !h.hungry()
	}, "the buffer is full")
	for range 10 { // its record is at work all the time
		lease := c.lease.Load()
		at := mustAppend(t, b, other, events(1, oneKey)...)
		for got := false; !got; {
			d := fetch(t, c, 1)[0]
			got = d.Topic == other && d.Position == at[0]
		}
		testenv.Await(t, soon, func() bool { return c.lease.Load() > lease }, "a heartbeat is answered")
	}
	if stuck.Claim.Lost() {
		t.Error("the claim was lost while its record was at work")
	}
}

func TestAKeyThatIsStuckHoldsUpNoOtherPartition(t *testing.T) {
	t.Parallel()
	b := openOn(t, quickly(t))
	topic := newTopic(t, b, 2)
	stuck, moving := keyIn(0), keyIn(1)
	ctx, stop := context.WithCancel(t.Context())
	release, ended := make(chan struct{}), make(chan error, 1)
	var handled atomic.Int64
	go func() {
		g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)}
		ended <- durable.Process(ctx, b, g, func(m *message.Message) error {
			if durable.Key(m) == stuck {
				<-release
				return nil
			}
			handled.Add(1)
			return nil
		}, durable.ProcessOptions{MaxInFlight: 64, FetchSize: 16})
	}()
	mustAppend(t, b, topic, events(500, func(int) string { return stuck })...)
	mustAppend(t, b, topic, events(500, func(int) string { return moving })...)
	testenv.Await(t, soon, func() bool { return handled.Load() == 500 }, "the other partition is handled")
	close(release)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// keyIn is a key that is placed in partition p of two.
func keyIn(p int) string {
	for i := 0; ; i++ {
		if key := fmt.Sprint("key-", i); durable.Partition(key, 2) == p {
			return key
		}
	}
}

func TestAStaticMemberComesBackToItsPartitions(t *testing.T) {
	t.Parallel()
	cfg := quickly(t)
	cfg.SessionTimeout, cfg.StaticMembers = 20*time.Second, true
	b := openOn(t, cfg)
	topic := newTopic(t, b, 4)
	g := durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)}
	if _, err := b.Consume(t.Context(), g); err == nil {
		t.Error("a static member without a name was let in")
	}
	named := func(name string) durable.Group { g.Member = name; return g }
	stays := join(t, b, named("stays"))
	defer closeNow(t, stays)
	leaves := join(t, b, named("leaves"))
	testenv.Await(t, soon, func() bool {
		return len(owned(stays)[topic]) == 2 && len(owned(leaves)[topic]) == 2
	}, "the partitions are spread")
	kept := stays.(*consumer).claimsNow()
	before := owned(leaves)
	closeNow(t, leaves)
	back := join(t, b, named("leaves"))
	defer closeNow(t, back)
	testenv.Await(t, soon, func() bool { return len(owned(back)[topic]) == 2 }, "it has partitions again")
	if got := owned(back); !maps.EqualFunc(got, before, slices.Equal) {
		t.Errorf("it came back to %v, want %v", got, before)
	}
	for _, claim := range kept {
		select {
		case <-claim.Draining():
			t.Errorf("partition %d of the other member was given up", claim.Partition())
		default:
		}
	}
}

// owned are the partitions that c has, in order.
func owned(c durable.Consumer) partitionsOf {
	out := c.(*consumer).owned()
	for _, ps := range out {
		slices.Sort(ps)
	}
	return out
}

func (c *consumer) claimsNow() []*durable.Claim {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*durable.Claim
	for _, h := range c.held {
		out = append(out, h.claim)
	}
	return out
}
