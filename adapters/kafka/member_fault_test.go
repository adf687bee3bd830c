package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

const hold = "hold" // the payload of an event whose handler ends with its context only

// memberProcess is a member in a process of its own; it tells what its handlers do.
func memberProcess() {
	b, err := Open(context.Background(), Config{
		Brokers: strings.Split(os.Getenv("MEMBER_BROKERS"), ","), OpenTimeout: soon, SessionTimeout: 2 * time.Second,
		CommitInterval: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	g := durable.Group{Name: os.Getenv("MEMBER_GROUP"), Member: "process", Topics: durable.Topics(os.Getenv("MEMBER_TOPIC"))}
	err = durable.Process(context.Background(), b, g, func(m *message.Message) error {
		fmt.Println("start", m.UUID)
		if string(m.Payload) == hold {
			<-m.Context().Done()
			fmt.Println("cancelled", m.UUID, context.Cause(m.Context()))
		}
		return nil
	}, durable.ProcessOptions{Concurrency: 1})
	fmt.Println("error", err)
}

func startMember(t testing.TB, brokers []string, group, topic string) *testenv.Process {
	t.Helper()
	return testenv.Reexec(t, "member", "MEMBER_BROKERS="+strings.Join(brokers, ","), "MEMBER_GROUP="+group, "MEMBER_TOPIC="+topic)
}

// holding are n events, of which the one at stays in its handler.
func holding(n, at int) []*message.Message {
	msgs := events(n, oneKey)
	msgs[at].Payload = []byte(hold)
	return msgs
}

// awaitLag waits until n records are left of a topic of one partition, and the group knows that all are handed out.
func awaitLag(t testing.TB, b *Backend, group, topic string, n int64) {
	t.Helper()
	testenv.Await(t, soon, func() bool {
		lag, err := b.Lag(t.Context(), group, topic)
		return err == nil && lag[0].Lag == n && lag[0].Pending == n
	}, "what was finished is committed")
}

// isTakenOver checks that d is msg, which member was handling, and that the attempts of it are counted: a member that
// stood still before may have lost it and begun again.
func isTakenOver(t testing.TB, d durable.Delivery, msg *message.Message, member *testenv.Process) {
	t.Helper()
	starts := 0
	for _, line := range member.Lines() {
		if line == "start "+msg.UUID {
			starts++
		}
	}
	if d.Message.UUID != msg.UUID || d.Attempt < 2 || d.Attempt > starts+1 {
		t.Errorf("got %s at attempt %d, want the one at work, %s, at 2 to %d", d.Message.UUID, d.Attempt, msg.UUID, starts+1)
	}
}

func TestAMemberThatStoodStillForLongerThanItsSessionIsNoOwnerAnyMore(t *testing.T) {
	t.Parallel()
	b := opened(t)
	topic, group := newTopic(t, b, 1), testenv.Name(t, "g")
	zombie := startMember(t, b.cfg.Brokers, group, topic)
	msgs := holding(10, 3)
	mustAppend(t, b, topic, msgs...)
	zombie.AwaitLine(soon, "start "+msgs[3].UUID)
	awaitLag(t, b, group, topic, 7)
	zombie.Freeze()
	next := join(t, b, durable.Group{Name: group, Topics: durable.Topics(topic)})
	isTakenOver(t, fetch(t, next, 7)[0], msgs[3], zombie)
	zombie.Thaw()
	if cause := zombie.AwaitLine(soon, "cancelled "+msgs[3].UUID); !strings.Contains(cause, "fenced") {
		t.Errorf("the handler ended for %q, want the claim's loss", cause)
	}
	for _, line := range zombie.Lines() {
		if strings.HasPrefix(line, "start "+msgs[4].UUID) {
			t.Error("the member began an event that is another's")
		}
	}
	zombie.Kill() // its result was nil: an ack, which must have been refused
	closeNow(t, next)
	again := join(t, b, durable.Group{Name: group, Topics: durable.Topics(topic)})
	defer closeNow(t, again)
	if got := fetch(t, again, 1)[0].Message.UUID; got != msgs[3].UUID {
		t.Errorf("the group goes on at %s, want the first one that nobody finished, %s", got, msgs[3].UUID)
	}
}

func TestTheWorkOfAKilledMemberIsTakenOver(t *testing.T) {
	t.Parallel()
	b := opened(t)
	topic, group := newTopic(t, b, 1), testenv.Name(t, "g")
	victim := startMember(t, b.cfg.Brokers, group, topic)
	msgs := holding(10, 6)
	mustAppend(t, b, topic, msgs...)
	victim.AwaitLine(soon, "start "+msgs[6].UUID)
	awaitLag(t, b, group, topic, 4)
	next := join(t, b, durable.Group{Name: group, Topics: durable.Topics(topic)})
	defer closeNow(t, next)
	victim.Kill()
	killed := time.Now()
	d := fetch(t, next, 1)[0]
	t.Logf("taken over %v after the kill, with a session timeout of 2s", time.Since(killed).Round(time.Millisecond))
	isTakenOver(t, d, msgs[6], victim)
}

// atWork are the claims of the handlers that run, by key.
type atWork struct {
	mu     sync.Mutex
	claims map[string][]*durable.Claim
}

// begin checks that nobody else is at work at key who still owns it, and returns what ends the handler. One that lost
// its claim may go on for a moment: it stood still, or has not looked at its context yet.
func (w *atWork) begin(t testing.TB, key string, claim *durable.Claim) (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, other := range w.claims[key] {
		if other != claim && !other.Lost() {
			t.Errorf("key %s has two owners: partition %d in the generations %d and %d", key, claim.Partition(), other.Epoch(), claim.Epoch())
		}
	}
	if w.claims == nil {
		w.claims = map[string][]*durable.Claim{}
	}
	w.claims[key] = append(w.claims[key], claim)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		i := slices.Index(w.claims[key], claim)
		w.claims[key] = slices.Delete(w.claims[key], i, i+1)
	}
}

// slowly is a member whose handlers take a while and heed their contexts. done gets what they finished.
func slowly(t testing.TB, b *Backend, g durable.Group, h *durabletest.History, at *atWork, done *sync.Map) (end func()) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- durable.Process(ctx, b, g, func(m *message.Message) error {
			d, _ := durable.DeliveryOf(m.Context())
			defer at.begin(t, d.Key, d.Claim)()
			defer h.Started(g.Member, d.Key, m.UUID)()
			select {
			case <-time.After(10 * time.Millisecond):
				done.Store(m.UUID, true)
			case <-m.Context().Done():
			}
			return context.Cause(m.Context())
		}, durable.ProcessOptions{MaxInFlight: 64})
	}()
	return func() {
		select {
		case err := <-ended:
			t.Errorf("member %s ended before it was stopped: %v", g.Member, err)
			stop()
			return
		default:
		}
		stop()
		if err := <-ended; errors.Is(err, durable.ErrUnavailable) {
			t.Log(err)
		} else if err != nil {
			t.Error(err)
		}
	}
}

// closeLate closes what may be cut off from its group again, where the session is as short as a pause of a busy machine.
func closeLate(t testing.TB, c durable.Consumer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if err := c.Close(ctx); errors.Is(err, durable.ErrUnavailable) {
		t.Log(err)
	} else if err != nil {
		t.Error(err)
	}
}

// membersUnderFaults lose nothing and keep the order.
func membersUnderFaults(t *testing.T, k *testenv.KafkaCluster) {
	cfg := Config{Brokers: k.Brokers(), SessionTimeout: 2 * time.Second, CommitInterval: 100 * time.Millisecond}
	for name, fault := range map[string]func(witness *durable.Claim){
		"frozen for longer than the session": func(witness *durable.Claim) {
			k.Node(1).Freeze()
			defer k.Node(1).Thaw()
			<-witness.Context().Done()
		},
		"restarted": func(*durable.Claim) {
			k.Node(1).Kill()
			k.Node(1).Restart()
		},
	} {
		t.Run(name, func(t *testing.T) {
			k.Restart() // it serves
			b := openOn(t, cfg)
			topic, group, seen := newTopic(t, b, 4), testenv.Name(t, "g"), newTopic(t, b, 1)
			mustAppend(t, b, seen, events(1, oneKey)...)
			witness := joinLate(t, b, durable.Group{Name: testenv.Name(t, "witness"), Topics: durable.Topics(seen)})
			defer closeLate(t, witness)
			var h durabletest.History
			var at atWork
			var done sync.Map
			var ids []string
			for range 10 {
				msgs := events(200, keyed(40))
				mustAppend(t, b, topic, msgs...)
				for _, m := range msgs {
					h.Appended(durable.Key(m), m.UUID)
					ids = append(ids, m.UUID)
				}
			}
			for _, name := range []string{"one", "two"} {
				g := durable.Group{Name: group, Member: name, Topics: durable.Topics(topic)}
				defer slowly(t, openOn(t, cfg), g, &h, &at, &done)()
			}
			testenv.Await(t, soon, func() bool { return h.Check(durabletest.Promise{}).Handled > 200 }, "the members are at work")
			fault(awaitFetch(t, witness).Claim)
			testenv.Await(t, 4*soon, func() bool {
				return !slices.ContainsFunc(ids, func(id string) bool { _, ok := done.Load(id); return !ok })
			}, "everything is handled")
			settleDown(t, &h, durabletest.Promise{Ordered: true})
		})
	}
}

// joinLate joins again and again until that works, for a coordinator that was away.
func joinLate(t testing.TB, b *Backend, g durable.Group) (c durable.Consumer) {
	t.Helper()
	var err error
	testenv.Await(t, 2*soon, func() bool {
		c, err = b.Consume(t.Context(), g)
		return !errors.Is(err, durable.ErrUnavailable)
	}, "the group can be joined")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// through dials its address whatever address is asked for.
type through string

func (addr through) Dial(network, _ string) (net.Conn, error) { return net.Dial(network, string(addr)) }

// leaveKey is the API key of requests to leave a group.
const leaveKey = 13

// severing is a dialer whose connections break where the first request to leave a group is to be written.
type severing struct{ done atomic.Bool }

func (s *severing) Dial(network, addr string) (net.Conn, error) {
	c, err := net.Dial(network, addr)
	return severed{c, s}, err
}

type severed struct {
	net.Conn
	s *severing
}

func (c severed) Write(b []byte) (int, error) {
	if len(b) > 6 && binary.BigEndian.Uint16(b[4:]) == leaveKey && c.s.done.CompareAndSwap(false, true) {
		return 0, errors.Join(net.ErrClosed, c.Close())
	}
	return c.Conn.Write(b)
}

func TestAMemberLeavesItsGroupThoughItsConnectionBreaks(t *testing.T) {
	t.Parallel()
	s := &severing{}
	b := openOn(t, Config{Brokers: testenv.Kafka(t), Sarama: func(c *sarama.Config) { c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, s }})
	topic, group := newTopic(t, b, 1), testenv.Name(t, "g")
	mustAppend(t, b, topic, events(1, oneKey)...)
	c := join(t, b, durable.Group{Name: group, Topics: durable.Topics(topic)})
	fetch(t, c, 1)
	closeNow(t, c)
	if d, err := b.describe(group); !s.done.Load() || err != nil || len(d.Members) != 0 {
		t.Errorf("the connection broke: %t; then the group had %+v, %v, want no member", s.done.Load(), d, err)
	}
}

func TestAMemberThatReachesNoCoordinatorGivesItsClaimsUp(t *testing.T) {
	t.Parallel()
	p := testenv.NewProxy(t, testenv.Kafka(t)[0])
	b := openOn(t, Config{
		Brokers: []string{p.Addr()}, SessionTimeout: 2 * time.Second,
		Sarama: func(c *sarama.Config) { c.Net.Proxy.Enable, c.Net.Proxy.Dialer = true, through(p.Addr()) },
	})
	topic := newTopic(t, b, 1)
	mustAppend(t, b, topic, events(3, oneKey)...)
	c := join(t, b, durable.Group{Name: testenv.Name(t, "g"), Topics: durable.Topics(topic)})
	defer closeLate(t, c)
	d := awaitFetch(t, c)
	p.Stall()
	for what, end := range map[string]<-chan struct{}{"draining": d.Claim.Draining(), "lost": d.Claim.Context().Done()} {
		select {
		case <-end:
		case <-time.After(soon):
			t.Fatalf("the claim is not %s", what)
		}
	}
	if cause := context.Cause(d.Claim.Context()); !errors.Is(cause, durable.ErrFenced) {
		t.Errorf("the claim ended with %v, want ErrFenced", cause)
	}
	if err := c.Ack(t.Context(), d); err != nil || c.(*consumer).late.Load() != 1 {
		t.Errorf("a late ack: got %v, and %d were counted", err, c.(*consumer).late.Load())
	}
	p.Restore()
	testenv.Await(t, 2*soon, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), soon)
		defer cancel()
		again, err := c.Fetch(ctx, 1)
		return err == nil && again[0].Position == d.Position
	}, "the record is fetched again")
}
