package grouptests

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/redis/go-redis/v9"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// concurrency is that of a member in a process.
const concurrency = 4

// processMember is a member in a process of its own. Its handlers take 20 ms and note start and end in a list on a
// Redis, whose order is that of all processes.
func processMember() {
	ctx := context.Background()
	p := place{kind: os.Getenv("G_KIND"), addrs: strings.Split(os.Getenv("G_ADDRS"), ",")}
	if os.Getenv("G_ORDERING") == fmt.Sprint(int(durable.None)) {
		p.ordering = durable.None
	}
	var err error
	if p.lease, err = time.ParseDuration(os.Getenv("G_LEASE")); err != nil {
		fmt.Println("fault", err)
		os.Exit(1)
	}
	r := run{p: p, topic: os.Getenv("G_TOPIC")}
	name, log := os.Getenv("G_NAME"), redis.NewClient(&redis.Options{Addr: os.Getenv("G_LOG"), ReadTimeout: answers, MaxRetries: -1})
	b, err := connect(ctx, p)
	if err != nil {
		fmt.Println("fault", err)
		os.Exit(1)
	}
	note := func(what string, m *message.Message) error {
		return log.RPush(ctx, r.topic+":log", strings.Join([]string{what, name, durable.Key(m), m.UUID}, " ")).Err()
	}
	err = durable.Process(ctx, b, r.group(name), func(m *message.Message) error {
		if err := note("start", m); err != nil {
			return err
		}
		<-time.After(20 * time.Millisecond)
		if err := m.Context().Err(); err != nil {
			return fmt.Errorf("%w: %w", err, note("cut", m))
		}
		return note("end", m)
	}, durable.ProcessOptions{Concurrency: concurrency})
	fmt.Println("fault", err)
}

// processes is a run whose members are processes.
type processes struct {
	*run
	addr string // of the list
	log  *redis.Client
}

func newProcesses(t *testing.T, p place) *processes {
	addr := testenv.Redis(t)
	log := redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: answers, MaxRetries: -1})
	t.Cleanup(func() { _ = log.Close() })
	return &processes{run: newRun(t, p.deadly()), addr: addr, log: log}
}

func (p *processes) start(name string) *testenv.Process {
	return testenv.Reexec(p.t, "member", append(p.p.env(), "G_TOPIC="+p.topic, "G_NAME="+name, "G_LOG="+p.addr)...)
}

func (p *processes) note(line string) {
	p.t.Helper()
	must(p.t, p.log.RPush(p.t.Context(), p.topic+":log", line).Err())
}

// died notes that name was killed or frozen, behind all that it noted itself: what it has sent and the server has not
// read yet is read before the answer of a command that is sent now.
func (p *processes) died(name string) {
	p.t.Helper()
	p.lines()
	p.note("died " + name)
}

func (p *processes) lines() []string {
	p.t.Helper()
	lines, err := p.log.LRange(p.t.Context(), p.topic+":log", 0, -1).Result()
	must(p.t, err)
	return lines
}

// count is how many lines begin with prefix.
func (p *processes) count(prefix string) (n int) {
	p.t.Helper()
	for _, l := range p.lines() {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

// awaitBacklog publishes until each of members has begun 40 events, and some more for them to be amid.
func (p *processes) awaitBacklog(members ...string) {
	p.t.Helper()
	testenv.Await(p.t, soon, func() bool {
		few := func(name string) bool { return p.count("start "+name+" ") < 40 }
		if slices.ContainsFunc(members, few) && len(p.sent)-p.count("start ") < 10*keys {
			p.publish(10 * keys)
		}
		return !slices.ContainsFunc(members, few)
	}, "every member is at work")
	p.publish(20 * keys)
}

// judge holds the list against what is promised where a member dies.
func (p *processes) judge() {
	p.t.Helper()
	p.awaitCommitted()
	finish, died, late := map[string]func(){}, map[string]bool{}, 0
	lines := p.lines()
	for i, l := range lines {
		w := append(strings.Fields(l), "", "", "")
		switch run := w[1] + " " + w[3]; w[0] {
		case "start":
			if died[w[1]] && cut(lines[i+1:], l) {
				late++
				continue
			}
			finish[run] = p.history.Started(w[1], w[2], w[3])
		case "end":
			finish[run]()
		case "died":
			p.history.Died(w[1])
			died[w[1]] = true
		}
	}
	// They were on their way to the list when their member was frozen. What was queued behind them must not follow.
	if late > concurrency {
		p.t.Errorf("got %d handlers that began without the lease, want at most the %d that were beginning", late, concurrency)
	}
	promise := durabletest.Promise{Ordered: p.p.ordered(), Exclusive: p.p.ordered(), Window: durable.DefaultMaxInFlight}
	report := p.history.Check(promise)
	if err := report.Err(); err != nil {
		p.t.Error(err)
	}
	if len(report.Stale) > 0 {
		p.t.Log(strings.Join(p.lines(), "\n"))
	}
}

// cut tells whether the run that began with the line start ended because its claim was lost.
func cut(after []string, start string) bool {
	run := strings.TrimPrefix(start, "start")
	i := slices.IndexFunc(after, func(l string) bool { return strings.HasSuffix(l, run) })
	return i >= 0 && strings.HasPrefix(after[i], "cut")
}

func TestAMemberIsKilledAmidHandlers(t *testing.T) {
	t.Parallel()
	killed := func(t *testing.T, at place) {
		p := newProcesses(t, at)
		one, two := p.start("one"), p.start("two")
		p.awaitBacklog("one", "two")
		one.Kill()
		p.died("one")
		p.publish(200)
		p.judge()
		two.Kill()
	}
	onCluster(t, killed)
	onKafka(t, killed)
}

// TestAMemberThatStoodStillForLongerThanItsLeaseHarmsNothing has the others finish everything meanwhile.
func TestAMemberThatStoodStillForLongerThanItsLeaseHarmsNothing(t *testing.T) {
	t.Parallel()
	frozen := func(t *testing.T, at place) {
		p := newProcesses(t, at)
		zombie := p.start("zombie")
		other := p.start("other")
		p.awaitBacklog("zombie", "other")
		zombie.Freeze()
		p.died("zombie")
		p.publish(200)
		p.awaitCommitted()
		before := p.count("start zombie")
		zombie.Thaw()
		testenv.Await(t, soon, func() bool { p.publish(16); return p.count("start zombie") > before }, "the member that stood still is at work again")
		p.judge()
		zombie.Kill()
		other.Kill()
	}
	onCluster(t, frozen)
	onKafka(t, frozen)
}
