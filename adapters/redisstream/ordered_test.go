package redisstream

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// owned is the partitions that c owns now, in order.
func owned(c durable.Consumer) []int {
	o := c.(*ordered)
	o.mu.Lock()
	defer o.mu.Unlock()
	out := []int{}
	for _, p := range o.parts {
		if p.own != nil && p.own.drainBy == 0 {
			out = append(out, p.partition)
		}
	}
	slices.Sort(out)
	return out
}

// awaitSpread waits until cs own n partitions, evenly.
func awaitSpread(t *testing.T, n int, cs ...durable.Consumer) {
	t.Helper()
	testenv.Await(t, time.Minute, func() bool {
		var all []int
		least, most := n, 0
		for _, c := range cs {
			mine := owned(c)
			least, most = min(least, len(mine)), max(most, len(mine))
			all = append(all, mine...)
		}
		slices.Sort(all)
		return len(all) == n && len(slices.Compact(all)) == n && most-least <= 1
	}, fmt.Sprintf("%d partitions are spread evenly over %d members", n, len(cs)))
}

func TestPartitionsAreSpreadEvenlyAsMembersComeAndGo(t *testing.T) {
	t.Parallel()
	f := newFleet(t, testenv.Redis(t), 8, 2*time.Second)
	g := durable.Group{Name: "g", Topics: durable.Topics(f.topic)}
	var cs []durable.Consumer
	for range 5 {
		cs = append(cs, join(t, open(t, f.cfg), g))
		awaitSpread(t, 8, cs...)
	}
	for len(cs) > 1 {
		if err := cs[0].Close(t.Context()); err != nil {
			t.Error(err)
		}
		cs = cs[1:]
		awaitSpread(t, 8, cs...)
	}
}

func TestARollingDeployHandlesEachEventOnceInOrder(t *testing.T) {
	f := newFleet(t, testenv.Redis(t), 12, calm)
	b := open(t, f.cfg)
	var leave []func()
	for i := range 10 {
		leave = append(leave, f.member(fmt.Sprint("old", i)))
	}
	for i, old := range leave {
		f.publish(b, 200)
		f.member(fmt.Sprint("new", i))
		f.publish(b, 200)
		old()
	}
	f.judge(b, orderly)
}

func TestManyMembersComeAndGo(t *testing.T) {
	members, events := 20, 60
	if soaking() {
		members, events = 200, 100
	}
	f := newFleet(t, testenv.Redis(t), 8, calm)
	b := open(t, f.cfg)
	r := rand.New(rand.NewPCG(3, 4))
	var here []func()
	for i := range members {
		here = append(here, f.member(fmt.Sprint("m", i)))
		f.publish(b, events)
		if i%2 == 1 {
			at := r.IntN(len(here))
			here[at]()
			here = slices.Delete(here, at, at+1)
		}
	}
	for len(here) > 2 {
		here[0]()
		here = here[1:]
	}
	f.judge(b, orderly)
}

func TestClocksOffByAnHourChangeNothing(t *testing.T) {
	f := newFleet(t, testenv.Redis(t), 6, calm)
	b := open(t, f.cfg)
	off := func(d time.Duration) func(*Backend) {
		return func(b *Backend) { b.clock = func() time.Time { return time.Now().Add(d) } }
	}
	f.member("fast", off(time.Hour))
	leave := f.member("slow", off(-time.Hour))
	f.publish(b, 500)
	f.member("exact")
	f.publish(b, 500)
	leave()
	f.publish(b, 500)
	f.judge(b, orderly)
}

func TestAClockThatJumpsLosesTheClaimNotTheEvents(t *testing.T) {
	f := newFleet(t, testenv.Redis(t), 2, 2*time.Second)
	b := open(t, f.cfg)
	jump := make(chan struct{})
	f.member("jumps", func(b *Backend) {
		b.clock = func() time.Time {
			select {
			case <-jump:
				return time.Now().Add(time.Hour)
			default:
				return time.Now()
			}
		}
	})
	f.publish(b, 500)
	close(jump)
	f.publish(b, 500)
	f.judge(b, broken)
}

func TestAHandOverTellsWhatIsDoneAndCountsStarts(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	b := open(t, Config{Connection: Connection{Addr: addr}})
	g := durable.Group{Name: "g", Topics: durable.Topics(topic)}
	first := join(t, b, g)
	store(t, b, topic, 0, 10)
	ds := fetch(t, first, 6)
	if err := first.Ack(t.Context(), ds[1], ds[4], ds[4]); err != nil {
		t.Error(err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.Ack(t.Context(), ds[0], ds[2]); err != nil {
		t.Errorf("acks after the end: got %v, want them ignored", err)
	}
	if n := b.Stats().LateAcks; n != 2 {
		t.Errorf("got %d late acks counted, want 2", n)
	}
	want := []string{"0:2", "2:2", "3:2", "5:2", "6:1", "7:1", "8:1", "9:1"}
	var got []string
	second := join(t, b, g)
	again := fetch(t, second, len(want))
	for _, d := range again {
		got = append(got, fmt.Sprintf("%s:%d", strings.TrimPrefix(d.Message.UUID, "id-"), d.Attempt))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := second.Ack(t.Context(), again...); err != nil {
		t.Error(err)
	}
	if err := second.Close(t.Context()); err != nil {
		t.Error(err)
	}
	groups := client(t, addr).XInfoGroups(t.Context(), topic).Val()
	if len(groups) != 1 || groups[0].Lag != 0 || groups[0].Pending != 0 || groups[0].EntriesRead != 10 {
		t.Errorf("got %+v, want a group that has read 10 entries and has no lag", groups)
	}
}

func TestAnEntryThatKillsItsOwnersIsCounted(t *testing.T) {
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	raw := client(t, addr)
	b := open(t, Config{Connection: Connection{Addr: addr}})
	g := durable.Group{Name: "g", Topics: durable.Topics(topic)}
	store(t, b, topic, 0, 3)
	for attempt := 1; attempt <= 3; attempt++ {
		c := join(t, b, g)
		d := fetch(t, c, 1)[0]
		if d.Attempt != attempt || d.Message.UUID != "id-0" {
			t.Errorf("got %s, attempt %d, want id-0, attempt %d", d.Message.UUID, d.Attempt, attempt)
		}
		// What is left of a member that was killed is the lease, which ends.
		p := newPlace(topic, 0, 1)
		if err := raw.Set(t.Context(), p.leaseKey("g"), "dead", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := raw.Del(t.Context(), p.leaseKey("g")).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFullWindowStopsReadingAndSaysSo(t *testing.T) {
	t.Parallel()
	addr, topic := testenv.Redis(t), testenv.Name(t, "t")
	l := &logs{}
	b := open(t, Config{Connection: Connection{Addr: addr}, LeaseTTL: 8 * time.Second, Logger: slog.New(slog.NewTextHandler(l, nil))})
	for i := range 6 {
		store(t, b, topic, 1000*i, 1000*i+1000)
	}
	c := join(t, b, durable.Group{Name: "g", Topics: durable.Topics(topic)})
	ds := fetch(t, c, mostBehind)
	if err := c.Ack(t.Context(), ds[1:]...); err != nil {
		t.Error(err)
	}
	testenv.Await(t, time.Minute, func() bool { return l.count("waits for one unfinished delivery") == 1 }, "the log names what is waited for")
	if l.count("position="+string(ds[0].Position)) != 1 {
		t.Errorf("the log does not name %s", ds[0].Position)
	}
	if err := c.Ack(t.Context(), ds[0]); err != nil {
		t.Error(err)
	}
	if d := fetch(t, c, 1)[0]; d.Message.UUID != event(mostBehind).UUID {
		t.Errorf("got %s, want %s", d.Message.UUID, event(mostBehind).UUID)
	}
}

func TestTheKeysInRedisKeepTheirNames(t *testing.T) {
	single, several := newPlace("orders", 0, 1), newPlace("orders", 3, 8)
	for want, got := range map[string]string{
		"orders":                single.key,
		"{orders:3}":            several.key,
		"ds:lease:{orders}:g":   single.leaseKey("g"),
		"ds:lease:{orders:3}:g": several.leaseKey("g"),
		"ds:group:{orders}:g":   single.groupKey("g"),
		"ds:group:{orders:3}:g": several.groupKey("g"),
		"ds:members:{g}":        membersKey("g"),
		"ds:topic:{orders}":     topicKey("orders"),
	} {
		if got != want {
			t.Errorf("got key %q, want %q", got, want)
		}
	}
}
