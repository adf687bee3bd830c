package grouptests

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/internal/testenv"
)

// scheduling is what a machine that does other things may take on top of what is promised.
const scheduling = 3 * time.Second

// awaitSpread wants the partitions to be owned by members alone, evenly, two leases from now at the latest.
func (r *run) awaitSpread(after string, members int) {
	r.t.Helper()
	testenv.Await(r.t, 2*lease+scheduling, func() bool {
		lags, err := r.b.Lag(r.t.Context(), r.group("").Name, r.topic)
		owned := map[string]int{}
		for _, l := range lags {
			if len(l.Members) != 1 || l.Members[0].Member == "" {
				return false
			}
			owned[l.Members[0].Member]++
		}
		var counts []int
		for _, n := range owned {
			counts = append(counts, n)
		}
		return err == nil && len(lags) == partitions && len(counts) == members && slices.Max(counts)-slices.Min(counts) <= 1
	}, fmt.Sprintf("after %s the partitions are spread evenly over %d members", after, members))
}

// TestPartitionsAreSpreadWithinTwoLeasesWhenMembersComeLeaveOrDie looks at who owns what. A member that died is followed
// when its lease is over.
func TestPartitionsAreSpreadWithinTwoLeasesWhenMembersComeLeaveOrDie(t *testing.T) {
	t.Parallel()
	spread := func(t *testing.T, at place) {
		p := newProcesses(t, at)
		leave := p.member("one", briefly, durable.ProcessOptions{})
		p.awaitSpread("the first has come", 1)
		leaveTwo := p.member("two", briefly, durable.ProcessOptions{})
		p.awaitSpread("the second has come", 2)
		must(t, leaveTwo())
		p.awaitSpread("the second has left", 1)
		dies := p.start("three")
		testenv.Await(t, soon, func() bool { p.publish(keys); return p.count("start three ") > 0 }, "the third is at work")
		p.awaitSpread("the third has come", 2)
		dies.Kill()
		p.awaitSpread("the third has died", 1)
		must(t, leave())
	}
	at(t, place{kind: "redis", addrs: []string{testenv.Redis(t)}, ordering: durable.PerKey}, spread)
	at(t, place{kind: "cluster", ordering: durable.PerKey}.own(t), spread)
}
