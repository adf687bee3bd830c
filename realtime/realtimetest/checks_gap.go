package realtimetest

import (
	"context"

	"github.com/dualstream/dualstream/realtime"
)

func gapChecks() []check {
	return []check{
		{Name: "Gap/IsToldToASlowSubscriber", Run: gapOverflow},
		{Name: "Gap/IsToldAfterABrokenConnection", Needs: breaks, Alone: true, Run: gapBreak},
	}
}

// gapOverflow sends more than the subscription holds: what does not arrive must be told, and counted where a count
// is given.
func gapOverflow(e *env) {
	b, channel, left := e.open(), e.channel("1"), e.Flood
	s := e.subscribe(b, channel)
	for left > 0 {
		n := min(left, 500)
		e.notify(b, channel, numbers(n)...)
		left -= n
	}
	arrived, missed, gaps, uncounted := 0, 0, 0, 0
	count := func(got realtime.Signal) {
		if got.Gap == realtime.GapNone {
			arrived++
			return
		}
		gaps++
		missed += got.Missed
		if got.Missed == 0 {
			uncounted++
		}
	}
	for got, ok := e.poll(s); ok; got, ok = e.poll(s) {
		count(got)
	}
	e.notify(b, channel, "end") // comes after all that is on its way
	for got := e.next(s); got.Notification.ID != "end"; got = e.next(s) {
		count(got)
	}
	switch {
	case arrived < e.Flood && gaps == 0:
		e.Errorf("%d of %d arrived and no gap was told", arrived, e.Flood)
	case arrived+missed > e.Flood || gaps > 0 && uncounted == 0 && arrived+missed != e.Flood:
		e.Errorf("%d arrived and %d were told missed, want %d in all", arrived, missed, e.Flood)
	}
}

// gapBreak breaks the connection: a gap is told, and then what is sent arrives.
func gapBreak(e *env) {
	b, channel := e.open(), e.channel("1")
	s := e.subscribe(b, channel)
	e.notify(b, channel, "before")
	e.want(s, channel, "before")
	e.Break(e.TB)
	if got := e.next(s); got.Gap == realtime.GapNone {
		e.Errorf("Next after the connection broke: got %+v, want a gap", got)
	}
	e.Do("Notify after the connection broke", func(ctx context.Context) error {
		for { // connections for sending may be found broken one by one
			err := b.Notify(ctx, realtime.Notification{Channel: channel, ID: "after"})
			if err == nil || ctx.Err() != nil {
				return err
			}
		}
	})
	for { // an attempt that failed may have been broadcast, too
		got := e.next(s)
		if got.Gap == realtime.GapNone && got.Notification.ID == "after" {
			return
		}
	}
}
