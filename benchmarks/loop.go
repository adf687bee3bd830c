package main

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// timed measures work, which returns how many events it did.
func timed(work func() (int64, error)) (sample, error) {
	before := mallocs()
	start := time.Now()
	n, err := work()
	return sample{events: n, elapsed: time.Since(start), mallocs: mallocs() - before}, err
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

// inBatches calls do with how many events are done, for dur, from one goroutine; every call does n.
func inBatches(ctx context.Context, dur time.Duration, n int, do func(done int64) error) (sample, error) {
	return timed(func() (int64, error) {
		var done int64
		for end := time.Now().Add(dur); time.Now().Before(end); done += int64(n) {
			if err := errors.Join(ctx.Err(), do(done)); err != nil {
				return done, err
			}
		}
		return done, nil
	})
}

// afterLead is inBatches of which the first third is not measured, so that what is granted to a burst is used up.
func afterLead(ctx context.Context, dur time.Duration, n int, do func(done int64) error) (sample, error) {
	lead, err := inBatches(ctx, dur/3, n, do)
	if err != nil {
		return lead, err
	}
	s, err := inBatches(ctx, dur-dur/3, n, func(done int64) error { return do(lead.events + done) })
	s.before = lead.events
	return s, err
}

// fromCallers calls do for single events from many goroutines, for dur.
func fromCallers(ctx context.Context, dur time.Duration, callers int, do func(done int64) error) (sample, error) {
	return timed(func() (int64, error) {
		var wg sync.WaitGroup
		var next, done atomic.Int64
		errs := make([]error, callers)
		end := time.Now().Add(dur)
		for c := range callers {
			wg.Go(func() {
				for errs[c] == nil && time.Now().Before(end) {
					if errs[c] = errors.Join(ctx.Err(), do(next.Add(1))); errs[c] == nil {
						done.Add(1)
					}
				}
			})
		}
		wg.Wait()
		return done.Load(), errors.Join(errs...)
	})
}

// alone is inBatches of n with the latency of every call.
func alone(ctx context.Context, dur time.Duration, n int, do func(done int64) error) (sample, error) {
	lat := make(latencies, 0, 1<<16)
	s, err := inBatches(ctx, dur, n, func(done int64) error {
		start := time.Now()
		err := do(done)
		lat = append(lat, time.Since(start))
		return err
	})
	s.latencies = lat
	return s, err
}

// passing measures the consumption of n events: seen is called for each of them, from any goroutine.
type passing struct {
	want   int64
	got    atomic.Int64
	first  atomic.Int64 // nanoseconds since epoch
	epoch  time.Time
	last   atomic.Int64
	before uint64
	full   chan struct{} // closed when all were seen
}

func newPassing(n int64) *passing {
	return &passing{want: n, epoch: time.Now(), before: mallocs(), full: make(chan struct{})}
}

func (p *passing) seen() {
	switch p.got.Add(1) {
	case 1:
		p.first.Store(int64(time.Since(p.epoch)))
	case p.want:
		p.last.Store(int64(time.Since(p.epoch)))
		close(p.full)
	}
}

// sample is what was measured between the first and the last event, once full is closed.
func (p *passing) sample() sample {
	return sample{
		events: p.want, elapsed: time.Duration(p.last.Load() - p.first.Load()), mallocs: mallocs() - p.before,
	}
}

// eventsFor is how many a turn of dur consumes at perSecond: a multiple of poolSize, at least one.
func eventsFor(dur time.Duration, perSecond float64) int64 {
	return max(1, int64(dur.Seconds()*perSecond)/poolSize) * poolSize
}
