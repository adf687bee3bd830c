package redisstream

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
	"github.com/dualstream/dualstream/internal/leaktest"
	"github.com/dualstream/dualstream/internal/testenv"
)

const (
	processLease = 2 * time.Second
	processParts = 4
	processWide  = 4 // handlers of a member
)

func TestMain(m *testing.M) {
	testenv.RunHelper(map[string]func(){
		"member":     func() { processMember(durable.PerKey) },
		"competitor": func() { processMember(durable.None) },
	})
	testenv.SideBySide(4)
	leaktest.Main(m, testenv.Leaks()...)
}

// notes is how a member in a process of its own writes what it does to a list on the server, whose order is that of all
// processes. A broker that stands still does not make it write twice.
type notes struct {
	raw       *redis.Client
	name, log string
	leaseKey  func(*message.Message) string // nil: nobody leases anything
}

// noteScript adds ARGV[2] to the list KEYS[1] where the lease KEYS[2] is one of the member ARGV[1], else what follows.
var noteScript = redis.NewScript(`
local owner = redis.call('GET', KEYS[2])
if owner and string.find(owner, ARGV[1] .. ':', 1, true) == 1 then
  redis.call('RPUSH', KEYS[1], ARGV[2])
  return 1
end
if ARGV[3] ~= '' then redis.call('RPUSH', KEYS[1], ARGV[3]) end
return 0`)

func (n *notes) line(what string, m *message.Message) string {
	return strings.Join([]string{what, n.name, durable.Key(m), m.UUID}, " ")
}

// add notes what happens to m.
func (n *notes) add(what string, m *message.Message) error {
	return n.raw.RPush(context.Background(), n.log, n.line(what, m)).Err()
}

// start tells whether the handler of m may begin: not where the member stood still on the way until its lease ended.
func (n *notes) start(m *message.Message) (bool, error) {
	if n.leaseKey == nil {
		return true, n.add("start", m)
	}
	return noteScript.Run(context.Background(), n.raw, []string{n.log, n.leaseKey(m)}, n.name, n.line("start", m), n.line("late", m)).Bool()
}

// end notes that m is handled, or that its handler was cut off. Where the lease is over it returns at once, so that what is
// queued behind m would follow: without the lease nothing is committed.
func (n *notes) end(m *message.Message) error {
	if err := m.Context().Err(); err != nil {
		return fmt.Errorf("%w: %w", err, n.add("cut", m))
	}
	if n.leaseKey == nil {
		return n.add("end", m)
	}
	held, err := noteScript.Run(context.Background(), n.raw, []string{n.log, n.leaseKey(m)}, n.name, n.line("end", m), n.line("gone", m)).Bool()
	if err == nil && !held {
		go n.watch(m)
	}
	return err
}

// watch notes that the claim of m, whose lease is over, is lost, or that it still goes on after 3 s.
func (n *notes) watch(m *message.Message) {
	what := "over"
	for range 3 { // so that a machine that stands still uses up one second at most
		select {
		case <-m.Context().Done():
			what = "lost"
		case <-time.After(time.Second):
			continue
		}
		break
	}
	if err := n.add(what, m); err != nil {
		fmt.Println("fault", err)
	}
}

// processMember is a member in a process of its own. Handlers take 20 ms.
func processMember(ordering durable.Ordering) {
	addr, topic, name := os.Getenv("T_ADDR"), os.Getenv("T_TOPIC"), os.Getenv("T_NAME")
	ctx := context.Background()
	n := &notes{
		raw:  redis.NewClient(&redis.Options{Addr: addr, ReadTimeout: time.Minute, MaxRetries: -1}),
		name: name, log: os.Getenv("T_LOG"),
	}
	if ordering == durable.PerKey {
		n.leaseKey = func(m *message.Message) string {
			return newPlace(topic, durable.Partition(durable.Key(m), processParts), processParts).leaseKey("g")
		}
	}
	b, err := Open(ctx, Config{Connection: Connection{Addr: addr}, LeaseTTL: processLease, ClaimIdle: processLease})
	if err != nil {
		fmt.Println("fault", err)
		os.Exit(1)
	}
	err = durable.Process(ctx, b, durable.Group{Name: "g", Member: name, Topics: durable.Topics(topic), Ordering: ordering}, func(m *message.Message) error {
		if begun, err := n.start(m); err != nil || !begun {
			return err // nil where it is late, so that what is queued behind it would follow, as in end
		}
		timer := time.NewTimer(20 * time.Millisecond)
		defer timer.Stop()
		<-timer.C
		return n.end(m)
	}, durable.ProcessOptions{Concurrency: processWide})
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
	f := newFleet(t, addr, processParts, processLease)
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

// feed publishes until there are n lines that begin with prefix: other members may have taken much.
func (p *processes) feed(n int, prefix string) {
	p.t.Helper()
	testenv.Await(p.t, time.Minute, func() bool {
		if p.count("start") > len(p.sent)-100 {
			p.publish(p.b, 100)
		}
		return p.count(prefix) >= n
	}, fmt.Sprintf("%d lines %q", n, prefix))
}

// awaitOwners waits until each of names owns something.
func (p *processes) awaitOwners(names ...string) {
	p.t.Helper()
	testenv.Await(p.t, time.Minute, func() bool {
		owners := strings.Fields(p.owners())
		return !slices.ContainsFunc(names, func(name string) bool { return !slices.Contains(owners, name) })
	}, fmt.Sprintf("each of %q owns something", names))
}

// handledIn is which of the runs that start in lines came to their end there: those that were cut off did not.
func handledIn(lines []string) map[int]bool {
	started, handled := map[string]int{}, map[int]bool{}
	for i, l := range lines {
		w := append(strings.Fields(l), "", "", "")
		switch w[0] {
		case "start":
			started[w[1]+w[3]] = i
		case "end":
			handled[started[w[1]+w[3]]] = true
		}
	}
	return handled
}

// judgeLog replays the list into the history, in which a member that was killed or frozen ends at once, and judges. What a
// handler did that was cut off ends where another one begins: having stood still, it could not note in time, or before it was
// killed, that its claim was over.
func (p *processes) judgeLog(promise durabletest.Promise) durabletest.Report {
	p.t.Helper()
	testenv.Await(p.t, 2*time.Minute, func() bool {
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
	finish, handled := map[string]func(){}, handledIn(lines)
	late := map[string][]func(){} // by key: runs that were cut off
	for i, l := range lines {
		w := append(strings.Fields(l), "", "", "")
		switch run := w[1] + w[3]; w[0] {
		case "start":
			for _, end := range late[w[2]] {
				end()
			}
			late[w[2]] = nil
			end := p.history.Started(w[1], w[2], w[3])
			if !handled[i] {
				late[w[2]] = append(late[w[2]], end)
			}
			before := finish[run]
			finish[run] = func() {
				if end(); before != nil { // of a claim that was lost
					before()
				}
			}
		case "end", "cut":
			finish[run]()
		case "over":
			p.t.Errorf("got a claim of %s that goes on 3 s after its lease, want it lost: %s", w[1], l)
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
	p.awaitOwners("one", "two")
	p.publish(p.b, 600)
	p.feed(40, "start one")
	p.feed(40, "start two")
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
	zombie, other := p.start("zombie"), p.start("other")
	p.awaitOwners("zombie", "other")
	p.publish(p.b, 400)
	p.feed(20, "start zombie")
	p.feed(20, "start other")
	zombie.Freeze()
	p.note("died zombie")
	p.publish(p.b, 200)
	p.feed(p.count("start other")+100, "start other")
	testenv.Await(t, time.Minute, func() bool { return p.owners() == "other" }, "the other member owns every partition")
	before := p.count("start zombie")
	zombie.Thaw()
	p.awaitOwners("zombie") // it is back
	p.publish(p.b, 200)
	p.feed(before+1, "start zombie")
	testenv.Await(t, time.Minute, func() bool {
		return p.count("lost zombie")+p.count("over zombie") >= p.count("gone zombie")
	}, "it is known what became of each claim")
	p.judgeLog(broken)
	// Handlers were on their way to the list when it was frozen, and when the machine has it stand still once more. What
	// was fetched and queued behind them, by the hundred, must not follow.
	if n := p.count("late zombie"); n > 2*processWide {
		t.Errorf("got %d handlers that began without the lease, want at most the %d that were beginning", n, 2*processWide)
	}
	zombie.Kill()
	other.Kill()
}

// owners is the names of the members that hold leases, each once, and "nobody" where one is free.
func (p *processes) owners() string {
	p.t.Helper()
	seen := map[string]bool{}
	var names []string
	for i := range processParts {
		token, err := p.raw.Get(p.t.Context(), newPlace(p.topic, i, processParts).leaseKey("g")).Result()
		name, _, _ := strings.Cut(token, ":")
		if err != nil {
			name = "nobody"
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}
