package redisstream

import (
	"fmt"
	"testing"
	"time"

	"github.com/dualstream/dualstream/durable"
	"github.com/dualstream/dualstream/durable/durabletest"
	"github.com/dualstream/dualstream/internal/testenv"
)

// TestAServerThatStandsStillIsServedByCompetitorsAgain stands still for longer than entries may be left alone. Handlers
// end while it does, or go on until it serves again.
func TestAServerThatStandsStillIsServedByCompetitorsAgain(t *testing.T) {
	for name, c := range map[string]struct {
		work   time.Duration // of a handler
		events int
	}{"short": {5 * time.Millisecond, 1000}, "long": {700 * time.Millisecond, 60}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, r, l := faulty(t, 4)
			f.ordering, f.cfg.ClaimIdle, f.work = durable.None, aliveIdle, c.work
			b := open(t, f.cfg)
			for i := range 3 {
				f.member(fmt.Sprint("m", i))
			}
			testenv.Await(t, time.Minute, func() bool {
				members, err := r.Client().XInfoConsumers(t.Context(), streamKey(f.topic, 3, 4), "g").Result()
				return err == nil && len(members) == 3
			}, "the members read")
			f.publish(b, c.events)
			testenv.Await(t, time.Minute, func() bool { return f.active.Load() >= 6 }, "several members are at work")
			r.Freeze()
			begun := time.Now()
			testenv.Await(t, time.Minute, func() bool {
				return l.count("failed, trying again") >= 3 && time.Since(begun) > f.cfg.ClaimIdle+time.Second
			}, "the members were cut off for longer than ClaimIdle")
			r.Thaw()
			testenv.Await(t, time.Minute, func() bool { return b.Health(t.Context()) == nil }, "the server serves again")
			f.publish(b, 20)
			f.judge(b, durabletest.Promise{Exclusive: true})
		})
	}
}
