package redisstream

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

func (p *processes) compete(name string) *testenv.Process {
	return testenv.Reexec(p.t, "competitor", "T_ADDR="+p.cfg.Addr, "T_TOPIC="+p.topic, "T_NAME="+name, "T_LOG="+p.log)
}

// awaitNothingOf waits until nothing is pending for member any more.
func (p *processes) awaitNothingOf(member string) {
	p.t.Helper()
	testenv.Await(p.t, time.Minute, func() bool {
		lag, err := p.b.Lag(p.t.Context(), "g", p.topic)
		for _, l := range lag {
			for _, m := range l.Members {
				if m.Member == member {
					return false
				}
			}
		}
		return err == nil
	}, "all that "+member+" held is another's")
}

func TestACompetitorIsKilledAmidHandlers(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	one, two := p.compete("one"), p.compete("two")
	p.publish(p.b, 600)
	testenv.Await(t, time.Minute, func() bool { // one of them may be up so late that the other has taken all
		if p.count("start") > len(p.sent)-100 {
			p.publish(p.b, 100)
		}
		return p.count("start one") >= 40 && p.count("start two") >= 40
	}, "both are at work")
	one.Kill()
	killed := time.Now()
	p.note("died one")
	p.awaitNothingOf("one")
	t.Logf("taken over %s after the kill, with a ClaimIdle of %s", time.Since(killed).Round(time.Millisecond), processLease)
	p.publish(p.b, 200)
	r := p.judgeLog(durabletest.Promise{})
	if most := 512; len(r.Duplicated) > most {
		t.Errorf("got %d events handled again, want at most the %d that were not acknowledged", len(r.Duplicated), most)
	}
	two.Kill()
}

func TestACompetitorThatStoodStillStartsNothingThatIsAnothers(t *testing.T) {
	t.Parallel()
	p := newProcesses(t)
	zombie := p.compete("zombie")
	p.publish(p.b, 400)
	p.awaitLines(20, "start zombie")
	zombie.Freeze()
	p.note("died zombie")
	other := p.compete("other")
	p.publish(p.b, 200)
	testenv.Await(t, time.Minute, func() bool {
		lag, err := p.b.Lag(t.Context(), "g", p.topic)
		return err == nil && !slices.ContainsFunc(lag, func(l durable.PartitionLag) bool { return l.Lag != 0 || l.Pending != 0 })
	}, "the other has handled and acknowledged everything")
	was := len(p.sent)
	p.note("thawed")
	zombie.Thaw()
	before := p.count("start zombie")
	testenv.Await(t, time.Minute, func() bool { p.publish(p.b, 50); return p.count("start zombie") > before }, "the member that stood still works again")
	p.judgeLog(durabletest.Promise{})
	lines, err := p.raw.LRange(t.Context(), p.log, 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	var late []string
	for _, l := range lines[slices.Index(lines, "thawed"):] {
		if w := strings.Fields(l); w[0] == "start" && slices.Contains(p.sent[:was], w[3]) {
			late = append(late, l)
		}
	}
	if len(late) > processWide { // each of its handlers may have been about to begin when it stood still
		t.Errorf("got %d events started after another had finished them: %q", len(late), late)
	}
	zombie.Kill()
	other.Kill()
}
