package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestMedianIsTheMiddle(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestRatioIsTheMedianOfTheTurnsRatios(t *testing.T) {
	of := func(rates ...int64) (samples []sample) {
		for _, r := range rates {
			samples = append(samples, sample{events: r, elapsed: time.Second})
		}
		return samples
	}
	// The ratio of the medians would be 0.5: the machine was twice as fast in the second turn.
	got := median(pairedRatios(of(100, 200, 100), of(80, 160, 10), sample.rate))
	if got != 0.8 {
		t.Errorf("the median of the ratios is %v, want 0.8", got)
	}
	if got := median(pairedRatios(of(0), of(10), sample.rate)); got != 0 {
		t.Errorf("the ratio to nothing is %v, want 0", got)
	}
}

func TestTheErrorOfARatioShrinksWithTheTurns(t *testing.T) {
	spread := func(n int) (values []float64) {
		for i := range n {
			values = append(values, 0.9+0.2*float64(i)/float64(n))
		}
		return values
	}
	if got := medianError(spread(fewest - 1)); got != 0 {
		t.Errorf("of few values: %v, want 0", got)
	}
	few, many := medianError(spread(16)), medianError(spread(1600))
	if few < 0.02 || few > 0.03 || many < few/11 || many > few/9 {
		t.Errorf("of 16 values %v, of 1600 %v; want 0.02 to 0.03, and a tenth of it", few, many)
	}
}

func TestALeadIsNotMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls int64
		s, err := afterLead(t.Context(), 6*time.Second, 2, func(done int64) error {
			if done != 2*calls {
				t.Errorf("call %d is told that %d are done", calls, done)
			}
			calls++
			time.Sleep(time.Second)
			return nil
		})
		if err != nil || s.before != 4 || s.events != 8 || calls != 6 {
			t.Errorf("sample = %+v, %v after %d calls of two; want 4 before and 8 measured", s, err, calls)
		}
	})
}

func TestPercentileIsOneOfTheLatencies(t *testing.T) {
	var l latencies
	for i := 100; i > 0; i-- {
		l = append(l, time.Duration(i))
	}
	for p, want := range map[float64]time.Duration{0: 1, 50: 51, 99: 100, 100: 100} {
		if got := l.percentile(p); got != want {
			t.Errorf("percentile(%v) = %d, want %d", p, got, want)
		}
	}
	if got := latencies(nil).percentile(99); got != 0 {
		t.Errorf("percentile of none = %v, want 0", got)
	}
}

func TestSubjectsTakeTurns(t *testing.T) {
	var order []string
	made := func(name string, events int64) subject {
		return subject{name, func(context.Context, *lab) (turn, error) {
			return func(context.Context, time.Duration) (sample, error) {
				order = append(order, name)
				return sample{events: events, elapsed: time.Second, mallocs: 3 * uint64(events)}, nil
			}, nil
		}}
	}
	p := path{name: "p", goal: goal{atLeast: 0.9}, subjects: []subject{made(subjectRaw, 100), made(subjectOurs, 95)}}
	rows, err := p.measure(t.Context(), newLab(t.Context()), time.Millisecond, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{subjectRaw, subjectOurs, subjectRaw, subjectOurs, subjectOurs, subjectRaw} // the first pair warms up
	if !slices.Equal(order, want) {
		t.Errorf("order = %v, want %v", order, want)
	}
	ours := rows[1]
	if *ours.RatioToRaw != 0.95 || ours.EventsPerS != 95 || ours.AllocsPerEvent != 3 || !*ours.Reached {
		t.Errorf("row = %+v with ratio %v, want 95/s, ratio 0.95, 3 allocs, goal reached", ours, *ours.RatioToRaw)
	}
}

func TestAPathMayHaveLongerTurnsInSlices(t *testing.T) {
	var durs []time.Duration
	p := path{name: "p", stretch: 2, slice: time.Second, subjects: []subject{{subjectRaw, func(context.Context, *lab) (turn, error) {
		return func(_ context.Context, dur time.Duration) (sample, error) {
			durs = append(durs, dur)
			return sample{events: 1, elapsed: time.Second}, nil
		}, nil
	}}}}
	rows, err := p.measure(t.Context(), newLab(t.Context()), 2*time.Second, 3)
	if err != nil || rows[0].Turns != 12 || len(durs) != 13 || durs[1] != time.Second {
		t.Errorf("got %+v, %v and turns of %v, want 12 of a second", rows, err, durs)
	}
}

func TestAFailedTurnFailsThePathAndEndsWhatItOpened(t *testing.T) {
	boom, closed := errors.New("counts differ"), false
	p := path{name: "p", subjects: []subject{{subjectRaw, func(_ context.Context, l *lab) (turn, error) {
		l.after(func() error { closed = true; return nil })
		return func(context.Context, time.Duration) (sample, error) { return sample{}, boom }, nil
	}}}}
	_, err := p.measure(t.Context(), newLab(t.Context()), time.Millisecond, 1)
	if !errors.Is(err, boom) || !closed {
		t.Errorf("err = %v, closed = %v; want %v and true", err, closed, boom)
	}
}

func TestWindowWrapsAround(t *testing.T) {
	all := []int{0, 1, 2, 3, 4, 5}
	for done, want := range map[int64][]int{0: {0, 1, 2}, 3: {3, 4, 5}, 6: {0, 1, 2}, 5: {0, 1, 2}} {
		if got := window(all, done, 3); !slices.Equal(got, want) {
			t.Errorf("window(%d) = %v, want %v", done, got, want)
		}
	}
}

func TestCallersCountWhatTheyDid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := fromCallers(t.Context(), 5*time.Second, 4, func(int64) error { time.Sleep(time.Second); return nil })
		if err != nil || s.events != 20 || s.elapsed != 5*time.Second {
			t.Errorf("sample = %+v, %v; want 5 events a caller in 5 s", s, err)
		}
	})
	boom := errors.New("refused")
	if _, err := fromCallers(t.Context(), time.Hour, 2, func(int64) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("err = %v, want %v", err, boom)
	}
}

func TestPassingEndsWithTheLastEvent(t *testing.T) {
	p := newPassing(3)
	for range 3 {
		go p.seen()
	}
	<-p.full
	if s := p.sample(); s.events != 3 || s.elapsed < 0 {
		t.Errorf("sample = %+v, want 3 events", s)
	}
}
