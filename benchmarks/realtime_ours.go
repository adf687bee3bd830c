package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dualstream/dualstream/adapters/redispubsub"
	"github.com/dualstream/dualstream/realtime"
)

// openPubSub opens the adapter with its defaults; it ends with the path.
func openPubSub(ctx context.Context, l *lab) (*bus, *redispubsub.Backend, error) {
	b, err := newBus(l)
	if err != nil {
		return nil, nil, err
	}
	n, err := redispubsub.Open(ctx, redispubsub.Config{Connection: redispubsub.Connection{Addr: b.Options().Addr}})
	if err != nil {
		return nil, nil, err
	}
	l.after(func() error { return n.Close(context.Background()) })
	return b, n, nil
}

func openDispatcher(n realtime.Backend, l *lab) (*realtime.Dispatcher, error) {
	d, err := realtime.NewDispatcher(n, realtime.DispatcherOptions{})
	if err == nil {
		l.after(func() error { return d.Close(context.Background()) })
	}
	return d, err
}

// oursDispatch hands over batches as fast as the dispatcher sends them, so that none is dropped.
func oursDispatch(n int) func(context.Context, *lab) (turn, error) {
	return func(ctx context.Context, l *lab) (turn, error) {
		b, backend, err := openPubSub(ctx, l)
		if err != nil {
			return nil, err
		}
		d, err := openDispatcher(backend, l)
		if err != nil {
			return nil, err
		}
		const most = 4096 // that wait, half of the default queue
		return func(ctx context.Context, dur time.Duration) (sample, error) {
			return b.counted(ctx, func() (sample, error) {
				return timed(func() (int64, error) {
					s, err := inBatches(ctx, dur, n, func(done int64) error {
						d.Dispatch(window(b.notes, done, n)...)
						return queuedAtMost(ctx, d, most)
					})
					if err == nil {
						err = allSent(ctx, d.Stats)
					}
					return s.events, err
				})
			})
		}, nil
	}
}

// queuedAtMost waits until no more than most notifications wait.
func queuedAtMost(ctx context.Context, d *realtime.Dispatcher, most uint64) error {
	for d.Stats().Queued > most {
		timer := time.NewTimer(100 * time.Microsecond)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// allSent waits until nothing waits any more, and is nil when everything that was dispatched was sent.
func allSent(ctx context.Context, stats func() realtime.DispatcherStats) error {
	s, err := settled(ctx, stats)
	if err == nil && s.Sent != s.Dispatched {
		err = fmt.Errorf("%d of %d notifications sent: %+v", s.Sent, s.Dispatched, s)
	}
	return err
}

// settled waits until nothing waits any more.
func settled(ctx context.Context, stats func() realtime.DispatcherStats) (s realtime.DispatcherStats, err error) {
	err = until(ctx, time.Minute, func() error {
		if s = stats(); s.Queued+s.InFlight > 0 {
			return fmt.Errorf("%d notifications wait", s.Queued+s.InFlight)
		}
		return nil
	})
	return s, err
}

// oursNotify dispatches at a steady pace and receives through a subscription.
func oursNotify(ctx context.Context, l *lab) (turn, error) {
	b, backend, err := openPubSub(ctx, l)
	if err != nil {
		return nil, err
	}
	d, err := openDispatcher(backend, l)
	if err != nil {
		return nil, err
	}
	note := b.notes[0]
	note.Channel = l.name("channel")
	sub, err := backend.Subscribe(ctx, note.Channel)
	if err != nil {
		return nil, err
	}
	l.after(sub.Close)
	return func(ctx context.Context, dur time.Duration) (sample, error) {
		return paced(ctx, dur, pace,
			func(context.Context) error { d.Dispatch(note); return nil },
			func(ctx context.Context) error {
				s, err := sub.Next(ctx)
				if err == nil && s.Gap != realtime.GapNone {
					err = fmt.Errorf("a gap: %s", s.Gap)
				}
				return err
			})
	}, nil
}
