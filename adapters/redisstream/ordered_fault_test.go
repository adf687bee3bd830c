package redisstream

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// logs is a log that a test reads.
type logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count is how often text was logged.
func (l *logs) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// faulty is a fleet on a server of its own.
func faulty(t *testing.T, partitions int) (*fleet, *testenv.RedisServer, *logs) {
	r := testenv.StartRedis(t, testenv.RedisOptions{AppendFsync: "always"})
	f := newFleet(t, r.Addr(), partitions, 2*time.Second)
	l := &logs{}
	f.cfg.Logger = slog.New(slog.NewTextHandler(l, nil))
	f.cfg.Timeout = 4 * time.Second // a machine may stand still for less
	return f, r, l
}

func TestAServerThatForgetsEverythingIsServedAgain(t *testing.T) {
	t.Parallel()
	f, r, l := faulty(t, 4)
	b := open(t, f.cfg)
	f.member("one")
	f.member("two")
	f.publish(b, 300)
	f.judge(b, broken)
	begun := time.Now()
	if err := r.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	f.publish(b, 300)
	f.judge(b, broken)
	if n, err := b.DescribeTopic(t.Context(), f.topic); err != nil || len(n.Partitions) != 4 {
		t.Errorf("got %+v, %v, want the topic with its 4 partitions", n, err)
	}
	most := 2 * (1 + int(time.Since(begun)/(2*f.cfg.LeaseTTL)))
	if n := l.count("the group vanished and"); n < 1 || n > most {
		t.Errorf("got %d log lines for a group that vanished, want one of each member within two leases at most, that is %d", n, most)
	}
}

func TestADeletedStreamOrGroupIsMadeAgain(t *testing.T) {
	f, r, _ := faulty(t, 2)
	f.cfg.LeaseTTL = calm
	b := open(t, f.cfg)
	f.member("one")
	f.publish(b, 200)
	f.judge(b, orderly)
	for p := range 2 {
		if err := r.Client().XGroupDestroy(t.Context(), streamKey(f.topic, p, 2), "g").Err(); err != nil {
			t.Fatal(err)
		}
	}
	f.publish(b, 200)
	f.judge(b, orderly) // the owner knows its position
	for p := range 2 {
		if err := r.Client().Del(t.Context(), streamKey(f.topic, p, 2)).Err(); err != nil {
			t.Fatal(err)
		}
	}
	f.publish(b, 200)
	f.judge(b, orderly)
}

// TestAStreamThatIsMadeAgainIsHandedOutByTheNextTenureAlone has entries come as soon as the group is made again at the
// beginning, where the next tenure begins.
func TestAStreamThatIsMadeAgainIsHandedOutByTheNextTenureAlone(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}, LeaseTTL: calm}), testenv.Name(t, "t")
	store(t, b, topic, 0, 3)
	c := join(t, b, durable.Group{Name: "g", Topics: durable.Topics(topic)}).(*ordered)
	ds := fetch(t, c, 3)
	must(t, c.Ack(t.Context(), ds...))
	testenv.Await(t, time.Minute, func() bool {
		lag, err := b.Lag(t.Context(), "g", topic)
		return err == nil && lag[0].Lag == 0
	}, "all is committed")
	must(t, b.control.Del(t.Context(), topic).Err())
	c.mu.Lock()
	o := c.byClaim[ds[0].Claim]
	c.mu.Unlock()
	must(t, c.remake(t.Context(), o))
	store(t, b, topic, 3, 6)
	for i, d := range fetch(t, c, 3) {
		if d.Claim == ds[0].Claim || d.Message.UUID != event(3+i).UUID {
			t.Errorf("got %s, under the claim of before: %t; want %s under a new one", d.Message.UUID, d.Claim == ds[0].Claim, event(3+i).UUID)
		}
	}
}

// TestACommitThatFoundNoGroupFollowsWhereAnotherMemberMadeItAgain has the keeper find the group, though a commit did not.
func TestACommitThatFoundNoGroupFollowsWhereAnotherMemberMadeItAgain(t *testing.T) {
	b, topic := open(t, Config{Connection: Connection{Addr: testenv.Redis(t)}, LeaseTTL: calm}), testenv.Name(t, "t")
	store(t, b, topic, 0, 3)
	c := join(t, b, durable.Group{Name: "g", Topics: durable.Topics(topic)}).(*ordered)
	ds := fetch(t, c, 3)
	c.mu.Lock()
	c.byClaim[ds[0].Claim].dirty = true
	c.mu.Unlock()
	must(t, c.Ack(t.Context(), ds...))
	c.renewNow()
	testenv.Await(t, time.Minute, func() bool {
		lag, err := b.Lag(t.Context(), "g", topic)
		return err == nil && lag[0].Lag == 0
	}, "the position is committed")
}

// TestAGroupThatVanishesBetweenTwoOwnersGoesOnWhereTheFirstLeftIt has the second one find the lease taken for a while.
func TestAGroupThatVanishesBetweenTwoOwnersGoesOnWhereTheFirstLeftIt(t *testing.T) {
	t.Parallel()
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b, raw := open(t, Config{Connection: Connection{Addr: addr}, LeaseTTL: calm}), client(t, addr)
	g := durable.Group{Name: "g", Topics: durable.Topics(topic)}
	first := join(t, b, g)
	store(t, b, topic, 0, 10)
	must(t, first.Ack(t.Context(), fetch(t, first, 10)[:7]...))
	must(t, first.Close(t.Context()))
	must(t, raw.Set(t.Context(), newPlace(topic, 0, 1).leaseKey("g"), "another", 3*time.Second).Err())
	second := join(t, b, g)
	must(t, raw.XGroupDestroy(t.Context(), topic, "g").Err())
	if got := fetch(t, second, 3)[0].Message.UUID; got != "id-7" {
		t.Errorf("the second owner begins at %s, want id-7, the first that is not acknowledged", got)
	}
}

func TestAServerThatStoodStillOrRestartsIsServedInOrder(t *testing.T) {
	for name, fault := range map[string]func(f *fleet, r *testenv.RedisServer, l *logs){
		"frozen": func(f *fleet, r *testenv.RedisServer, l *logs) {
			r.Freeze()
			testenv.Await(f.t, time.Minute, func() bool { return l.count("could not be renewed in time") >= 1 }, "claims are lost")
			r.Thaw()
		},
		"killed": func(_ *fleet, r *testenv.RedisServer, _ *logs) {
			r.Kill()
			r.Restart()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, r, l := faulty(t, 4)
			b := open(t, f.cfg)
			f.work = 5 * time.Millisecond
			for i := range 3 {
				f.member(fmt.Sprint("m", i))
			}
			f.publish(b, 1000)
			fault(f, r, l)
			testenv.Await(t, time.Minute, func() bool { // what was sent on a connection that had ended is in doubt
				_, err := b.Append(soon(t), "after-"+f.topic, event(0))
				return err == nil && b.Health(t.Context()) == nil
			}, "the server serves again")
			f.publish(b, 300)
			f.judge(b, broken)
		})
	}
}

func TestHandlersThatOutliveTheTimeToDrainAreCutOff(t *testing.T) {
	t.Parallel()
	f := newFleet(t, testenv.Redis(t), 2, 2*time.Second)
	b := open(t, f.cfg)
	f.work, f.wide = time.Minute, 32
	defer close(f.quit)
	f.member("slow")
	f.publish(b, 32)
	testenv.Await(t, time.Minute, func() bool { return f.active.Load() == 16 }, "a handler of each key runs")
	f.member("next")
	testenv.Await(t, time.Minute, func() bool { return f.cutOff.Load() > 0 }, "contexts end at the end of the time to drain")
	if err := f.history.Check(broken).Err(); err != nil && strings.Contains(err.Error(), "two members") {
		t.Error(err)
	}
}

func TestEntriesThatAreTrimmedUnreadAreReported(t *testing.T) {
	addr := testenv.Redis(t)
	for _, policy := range []durable.ExpiredPolicy{durable.ExpiredFail, durable.ExpiredOldest} {
		topic := testenv.Name(t, "t")
		l := &logs{}
		b := open(t, Config{Connection: Connection{Addr: addr}, Logger: slog.New(slog.NewTextHandler(l, nil))})
		g := durable.Group{Name: "g", Topics: durable.Topics(topic), OnExpired: policy}
		c := join(t, b, g)
		store(t, b, topic, 0, 10)
		if err := c.Ack(t.Context(), fetch(t, c, 10)[:5]...); err != nil {
			t.Error(err)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := client(t, addr).XTrimMaxLen(t.Context(), topic, 2).Err(); err != nil {
			t.Fatal(err)
		}
		ds, err := join(t, b, g).Fetch(soon(t), 10)
		if policy == durable.ExpiredFail {
			if !strings.Contains(fmt.Sprint(err), "3 entries were trimmed unread") || !errors.Is(err, durable.ErrPositionExpired) {
				t.Errorf("got %v, want ErrPositionExpired and the number of entries", err)
			}
			continue
		}
		if err != nil || ds[0].Message.UUID != "id-8" || l.count("trimmed unread") != 1 {
			t.Errorf("got %v, %v, want to go on at the oldest entry and a line in the log", ds, err)
		}
	}
}
