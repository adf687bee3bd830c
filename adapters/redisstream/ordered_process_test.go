package redisstream

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

const processLease = 2 * time.Second

func TestMain(m *testing.M) {
	testenv.RunHelper(map[string]func(){
		"member":     func() { processMember(durable.PerKey) },
		"competitor": func() { processMember(durable.None) },
	})
	testenv.SideBySide(4)
	goleak.VerifyTestMain(m, testenv.Leaks()...)
}

// processMember is a member in a process of its own. Handlers take 20 ms and note start and end in a list on the
// server, whose order is that of all processes.
func processMember(ordering durable.Ordering) {
	addr, topic, name, log := os.Getenv("T_ADDR"), os.Getenv("T_TOPIC"), os.Getenv("T_NAME"), os.Getenv("T_LOG")
	ctx := context.Background()
	raw := redis.NewClient(&redis.Options{Addr: addr})
	b, err := Open(ctx, Config{Connection: Connection{Addr: addr}, LeaseTTL: processLease, ClaimIdle: processLease})
	if err != nil {
		fmt.Println("fault", err)
		os.Exit(1)
	}
	note := func(what string, m *message.Message) error {
		return raw.RPush(ctx, log, strings.Join([]string{what, name, durable.Key(m), m.UUID}, " ")).Err()
	}
	err = durable.Process(ctx, b, durable.Group{Name: "g", Member: name, Topics: durable.Topics(topic), Ordering: ordering}, func(m *message.Message) error {
		if err := note("start", m); err != nil {
			return err
		}
		timer := time.NewTimer(20 * time.Millisecond)
		defer timer.Stop()
		<-timer.C
		if err := m.Context().Err(); err != nil {
			return fmt.Errorf("%w: %w", err, note("cut", m))
		}
		return note("end", m)
	}, durable.ProcessOptions{Concurrency: 4})
	fmt.Println("fault", err)
}

// processes is a group of such members.
type processes struct {
	*fleet
	raw *redis.Client
	b   *Backend
	log string
}

func newProcesses(t *testing.T) *processes {
	addr := testenv.Redis(t)
	f := newFleet(t, addr, 4, processLease)
	return &processes{fleet: f, raw: client(t, addr), b: open(t, f.cfg), log: f.topic + ":log"}
}

func (p *processes) start(name string) *testenv.Process {
	return testenv.Reexec(p.t, "member", "T_ADDR="+p.cfg.Addr, "T_TOPIC="+p.topic, "T_NAME="+name, "T_LOG="+p.log)
}

// note adds a line of the test to the list.
func (p *processes) note(line string) {
	p.t.Helper()
	if err := p.raw.RPush(p.t.Context(), p.log, line).Err(); err != nil {
		p.t.Fatal(err)
	}
}

// count is how many lines of the list begin with prefix.
func (p *processes) count(prefix string) (n int) {
	p.t.Helper()
	lines, err := p.raw.LRange(p.t.Context(), p.log, 0, -1).Result()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, l := range lines {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

// awaitLines waits for n lines that begin with prefix.
func (p *processes) awaitLines(n int, prefix string) {
	p.t.Helper()
	testenv.Await(p.t, time.Minute, func() bool { return p.count(prefix) >= n }, fmt.Sprintf("%d lines %q", n, prefix))
}

// judgeLog replays the list into the history, in which a member that was killed or frozen ends at once, and judges.
func (p *processes) judgeLog(promise durabletest.Promise) durabletest.Report {
	p.t.Helper()
	testenv.Await(p.t, time.Minute, func() bool {
		lag, err := p.b.Lag(p.t.Context(), "g", p.topic)
		for _, l := range lag {
			if err != nil || l.Lag != 0 || l.Pending != 0 {
				return false
			}
		}
		return err == nil
	}, "every event is committed")
	lines, err := p.raw.LRange(p.t.Context(), p.log, 0, -1).Result()
	if err != nil {
		p.t.Fatal(err)
	}
	finish := map[string]func(){}
	for _, l := range lines {
		w := append(strings.Fields(l), "", "", "")
		switch run := w[1] + w[3]; w[0] {
		case "start":
			finish[run] = p.history.Started(w[1], w[2], w[3])
		case "end", "cut":
			finish[run]()
		case "died":
			p.history.Died(w[1])
		}
	}
	r := p.history.Check(promise)
	if err := r.Err(); err != nil {
		p.t.Error(err)
	}
	return r
}

func TestAMemberIsKilledAmidHandlers(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	one, two := p.start("one"), p.start("two")
	p.publish(p.b, 600)
	p.awaitLines(40, "start one")
	p.awaitLines(40, "start two")
	one.Kill()
	died := time.Now()
	p.note("died one")
	p.publish(p.b, 200)
	testenv.Await(t, time.Minute, func() bool { return p.owners() == "two" }, "the other member owns every partition")
	t.Logf("took over %v after the death, with a lease of %v", time.Since(died), processLease)
	r := p.judgeLog(broken)
	if most := 512; len(r.Duplicated) > most {
		t.Errorf("got %d events handled again, want at most the %d that were not committed", len(r.Duplicated), most)
	}
	two.Kill()
}

func TestAMemberThatStoodStillForLongerThanItsLeaseStartsNothingMore(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	zombie := p.start("zombie")
	p.publish(p.b, 400)
	p.awaitLines(20, "start zombie")
	other := p.start("other")
	p.awaitLines(20, "start other")
	zombie.Freeze()
	p.note("died zombie")
	p.publish(p.b, 200)
	p.awaitLines(p.count("start other")+100, "start other")
	testenv.Await(t, time.Minute, func() bool { return p.owners() == "other" }, "the other member owns every partition")
	before := p.count("start zombie")
	zombie.Thaw()
	testenv.Await(t, time.Minute, func() bool { return strings.Contains(p.owners(), "zombie") }, "the member that stood still is back")
	p.publish(p.b, 200)
	p.awaitLines(before+1, "start zombie")
	p.judgeLog(broken)
	zombie.Kill()
	other.Kill()
}

// owners is the names of the members that hold leases, each once.
func (p *processes) owners() string {
	p.t.Helper()
	seen := map[string]bool{}
	var names []string
	for i := range 4 {
		token, err := p.raw.Get(p.t.Context(), newPlace(p.topic, i, 4).leaseKey("g")).Result()
		name, _, _ := strings.Cut(token, ":")
		if err == nil && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}
